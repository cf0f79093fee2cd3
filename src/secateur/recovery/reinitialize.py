"""New random weights under the same masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.component import component, param
from ..core.errors import ModelError
from .base import Restart

__all__ = ["Reinitialize"]


@component
class Reinitialize(Restart):
    """The survivors are drawn anew: only the masks are inherited, the control for every claim about inherited weights.

    Every module with a ``reset_parameters()`` is reset, outermost first: give your model one if its layers are not
    initialised by their own defaults.

    Args:
        seed: seed of the draw (the global generator is left as it was).

    Example:
        >>> Reinitialize(seed=1).to_dict()
        {'name': 'reinitialize', 'seed': 1}

    Source:
        the random re-initialisation of Frankle & Carbin 2019 (arXiv:1803.03635); Liu et al. 2019 (arXiv:1810.05270).
    """

    seed: int = param(default=0, ge=0)

    def check(self, model: nn.Module) -> None:
        """Every parameter must belong to a module that can be reset."""
        _reset(model, "", dry=True)

    def restore(self, model: nn.Module, snapshot: Mapping[str, Tensor] | None) -> None:
        """Reset all modules under the seed."""
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            _reset(model, "", dry=False)


def _reset(module: nn.Module, name: str, *, dry: bool) -> None:
    reset: Any = getattr(module, "reset_parameters", None)
    if callable(reset):
        if not dry:
            reset()
        return
    own = [n for n, _ in module.named_parameters(recurse=False)]
    if own:
        where = f"module {name!r}" if name else "the model itself"
        raise ModelError(
            f"recovery 'reinitialize' cannot reset {where} ({type(module).__name__}): it holds {', '.join(own)} and has no "
            "reset_parameters(); give the class one"
        )
    for child_name, child in module.named_children():
        _reset(child, f"{name}.{child_name}" if name else child_name, dry=dry)
