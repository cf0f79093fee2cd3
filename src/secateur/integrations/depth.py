"""Models without some of their blocks: the blocks that are left close up, and a configuration counts fewer."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

from torch import nn

from ..graph.skip import Skip

__all__ = ["Gap", "close_up_", "closed_up", "fewer_blocks"]

Gap: TypeAlias = "tuple[int, tuple[int, ...]]"
"""How many blocks a container had, and the places of those that are gone."""

_MOST = 200  # ways tried


def closed_up(model: nn.Module) -> tuple[nn.Module, tuple[Gap, ...]]:
    """The same tensors in modules of which none is skipped, and what is gone; the model itself where nothing is."""
    if not any(isinstance(m, Skip) for m in model.modules()):
        return model, ()
    tensors = {id(t): t for t in [*model.parameters(), *model.buffers()]}
    other = copy.deepcopy(model, dict(tensors))
    return other, close_up_(other)


def close_up_(model: nn.Module) -> tuple[Gap, ...]:
    """Leave out skipped blocks and number the others anew.

    Example:
        >>> tower = nn.Sequential(nn.Linear(2, 2), Skip(), nn.Tanh())
        >>> close_up_(tower), tower
        (((3, (1,)),), Sequential(
          (0): Linear(in_features=2, out_features=2, bias=True)
          (1): Tanh()
        ))
    """
    gaps = []
    for parent in list(model.modules()):
        blocks = list(parent._modules.values())
        gone = tuple(k for k, m in enumerate(blocks) if isinstance(m, Skip))
        if gone and isinstance(parent, nn.Sequential | nn.ModuleList):
            parent._modules.clear()
            for block in blocks:
                if block is not None and not isinstance(block, Skip):
                    parent._modules[str(len(parent._modules))] = block
            gaps.append((len(blocks), gone))
    return tuple(gaps)


def fewer_blocks(fields: dict[str, Any], gaps: tuple[Gap, ...]) -> Iterator[tuple[dict[str, Any], dict[str, tuple[int, int]]]]:
    """Configurations that count fewer blocks, and the fields that changed: all ways of saying it.

    Example:
        >>> fields = {"layers": 3, "heads": 3, "kinds": ["full", "sliding", "full"]}
        >>> for new, changed in fewer_blocks(fields, ((3, (1,)),)):
        ...     print(new["kinds"], changed)
        ['full', 'full'] {'layers': (3, 2)}
        ['full', 'full'] {'heads': (3, 2)}
    """
    counts = [[key for key, value in fields.items() if type(value) is int and value == n] for n, _ in gaps]
    for keys in itertools.islice(itertools.product(*counts), _MOST):
        new, changed = copy.deepcopy(fields), {}
        for key, (n, gone) in zip(keys, gaps, strict=True):
            new[key] = n - len(gone)
            changed[key] = n, n - len(gone)
            for name, value in fields.items():
                if isinstance(value, list) and len(value) == n:
                    new[name] = [v for k, v in enumerate(value) if k not in gone]
        if len(changed) == len(gaps):
            yield new, changed
