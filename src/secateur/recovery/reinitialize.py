"""New random weights under the same masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.component import component, param
from ..core.errors import ModelError
from .base import Restart

__all__ = ["Reinitialize", "kept_inputs"]


@component
class Reinitialize(Restart):
    r"""The survivors are drawn anew: only the masks are inherited, the control for every claim about inherited weights.

    Every module with a ``reset_parameters()`` is reset, outermost first: give your model one if its layers are not
    initialised by their own defaults. With ``scaled`` a weight whose units keep the share d of their inputs is drawn with the
    spread of the smaller network:

    .. math:: w \leftarrow m \odot w_0 / \sqrt{d}

    Args:
        seed: seed of the draw (the global generator is left as it was).
        scaled: correct the initial spread for the inputs that are gone, as training from scratch does.
        budget: what the ready-made training spends: as many ``epochs`` as the dense network had (scratch-E), or as much
            ``computation``: epochs · MACs_dense / MACs_pruned, at most twice the epochs (scratch-B).

    Example:
        >>> Reinitialize(seed=1).to_dict(minimal=True)
        {'name': 'reinitialize', 'seed': 1}

    Source:
        the random re-initialisation of Frankle & Carbin 2019 (arXiv:1803.03635); scratch-E and scratch-B of Liu et al. 2019
        (arXiv:1810.05270).
    """

    seed: int = param(default=0, ge=0)
    scaled: bool = False
    budget: str = param(default="epochs", among=("epochs", "computation"))

    def check(self, model: nn.Module) -> None:
        """Every parameter must belong to a module that can be reset."""
        _reset(model, "", dry=True)

    def restore(self, model: nn.Module, snapshot: Mapping[str, Tensor] | None) -> None:
        """Reset all modules under the seed."""
        left = {n: p.detach() != 0 for n, p in model.named_parameters()} if self.scaled else {}
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.seed)
            _reset(model, "", dry=False)
            for name, share in kept_inputs(model, left).items():
                model.get_parameter(name).div_(share**0.5)


def kept_inputs(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, float]:
    """Parameter name → the share of its inputs that a unit which is left keeps, on average; for weights alone.

    Args:
        model: whose weights they are.
        masks: parameter name → what is left of it.

    Example:
        >>> linear = nn.Linear(4, 2)
        >>> kept_inputs(linear, {"weight": torch.tensor([[True, False, False, False], [False] * 4])})
        {'weight': 0.25}
    """
    shares = {}
    for name, mask in masks.items():
        if mask.ndim < 2 or not bool(mask.any()):
            continue
        turned = isinstance(model.get_submodule(name.rpartition(".")[0]), nn.modules.conv._ConvTransposeNd)
        rows = (mask.transpose(0, 1) if turned else mask).flatten(1)
        shares[name] = int(rows.sum()) / (int(rows.any(1).sum()) * rows.shape[1])
    return shares


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
