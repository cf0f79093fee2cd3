"""Blocks whose residual branches are gone are the identity: they leave the model whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .branches import Branch
from .cut import tensors
from .trace import ExampleInputs
from .verify import Answer, answer, changed, difference

__all__ = ["Skip", "skip_", "skip_dead_", "skipped", "zero_"]

_TOLERANCE = 1e-10


class Skip(nn.Module):
    """Gives its first argument back, as a block does from which everything was removed.

    Args:
        listed: give it back as a tuple of one, as some Transformers layers do.

    Example:
        >>> Skip()(torch.ones(1), mask=None)
        tensor([1.])
    """

    def __init__(self, listed: bool = False) -> None:
        super().__init__()
        self.listed = listed

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The first argument; others are ignored."""
        first = args[0] if args else next(iter(kwargs.values()))
        return (first,) if self.listed else first

    def extra_repr(self) -> str:
        """How it prints."""
        return "listed=True" if self.listed else ""


@torch.no_grad()
def zero_(model: nn.Module, branches: Iterable[Branch]) -> None:
    """Set all parameters of some branches to zero."""
    known = tensors(model)
    for branch in branches:
        for name in branch.parameters:
            known[name].data = torch.zeros_like(known[name])  # not in place: the old values may be wanted back


def skip_dead_(model: nn.Module, inputs: ExampleInputs, branches: tuple[Branch, ...]) -> list[str]:
    """Replace blocks that only pass their input on; each is kept replaced if the model computes the same.

    A block is an entry of a ``Sequential`` or ``ModuleList`` all of whose residual branches are zero; a :class:`Skip`
    takes its place. A block that is given an object to write into, as decoders are a cache of keys and values, stays:
    what it writes there may be counted.

    Returns:
        Names of the blocks.
    """
    candidates = list(_blocks(model, branches))
    if not candidates:
        return []
    wanted = answer(model, inputs)
    writers = _given_objects(model, inputs, [name for name, *_ in candidates])
    candidates = [c for c in candidates if c[0] not in writers]
    if not candidates or not difference(answer(model, changed(inputs)).tensors, wanted.tensors) > 1e-6:
        return []
    replaced = []
    for name, parent, key in candidates:
        before = parent._modules[key]
        for listed in (False, True):
            parent._modules[key] = Skip(listed)
            if _same(model, inputs, wanted):
                replaced.append(name)
                break
            parent._modules[key] = before
    return replaced


def skipped(model: nn.Module) -> dict[str, bool]:
    """The blocks of a model that were skipped, by name, and whether they give a tuple back.

    Example:
        >>> skipped(nn.Sequential(nn.Linear(2, 2), Skip()))
        {'1': False}
    """
    return {name: module.listed for name, module in model.named_modules() if isinstance(module, Skip)}


def skip_(model: nn.Module, blocks: dict[str, bool]) -> None:
    """Replace blocks of a newly made model as ``skipped`` found them in another.

    Raises:
        AttributeError: the model has no such block.
    """
    for name, listed in blocks.items():
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(name)
        model.get_submodule(owner)._modules[leaf] = Skip(listed)


def _given_objects(model: nn.Module, inputs: ExampleInputs, names: list[str]) -> set[str]:
    """Of some modules, those whose forward is given anything but tensors and plain values."""
    found: set[str] = set()
    plain = (Tensor, int, float, str, bool, type(None), torch.dtype, torch.device)

    def look(name: str) -> Any:
        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            if not all(isinstance(x, plain) for x in pytree.tree_leaves((args, kwargs))):
                found.add(name)

        return hook

    hooks = [model.get_submodule(n).register_forward_pre_hook(look(n), with_kwargs=True) for n in names]
    try:
        answer(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _same(model: nn.Module, inputs: ExampleInputs, wanted: Answer) -> bool:
    try:
        return difference(answer(model, inputs).tensors, wanted.tensors) < _TOLERANCE
    except Exception:  # forward wants something else of the block
        return False


def _blocks(model: nn.Module, branches: tuple[Branch, ...]) -> Iterator[tuple[str, nn.Module, str]]:
    """Entries of containers that hold dead branches and no live one, outermost first."""
    known = tensors(model)
    dead = [b for b in branches if not any(_alive(known[p]) for p in b.parameters)]
    done: list[str] = []
    for name, parent in model.named_modules():
        if not isinstance(parent, nn.Sequential | nn.ModuleList):
            continue
        for key in parent._modules:
            path = f"{name}.{key}" if name else key
            inside = [b for b in branches if f"{b.module}.".startswith(f"{path}.")]
            if inside and all(b in dead for b in inside) and not any(f"{path}.".startswith(f"{d}.") for d in done):
                done.append(path)
                yield path, parent, key


def _alive(tensor: Tensor) -> bool:
    return tensor.is_meta or bool(tensor.detach().any())
