"""New values for what survives, from what the layer read."""

from __future__ import annotations

import torch

from ..core.layers import is_transposed
from .base import Gradients, Units

__all__ = ["refit_"]


@torch.no_grad()
def refit_(units: Units, moments: Gradients) -> None:
    """Let the recipe's recovery refit each weight that has lost something: masks are new, pruned weights not yet zero.

    Args:
        units: whose masks they are; the model's weights are changed.
        moments: parameter name → Σ x xᵀ of what its rows read.
    """
    for name, moment in moments.items():
        parameter, mask = units.parameter(name), units.masks.get(name)
        if mask is None or not bool(parameter[~mask.to(parameter.device)].any()):
            continue
        turn = is_transposed(units.model, name)
        weight, mask = (t.transpose(0, 1) if turn else t for t in (parameter, mask.to(parameter.device)))
        fitted = units.recipe.recovery.refit(weight, mask, moment)
        parameter.copy_(fitted.transpose(0, 1) if turn else fitted)
