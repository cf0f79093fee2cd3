"""The controls of a pruned network: the masks it ended with, or as many weights in random places, and new weights."""

from __future__ import annotations

import dataclasses as dc
import glob
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..allocation import PerLayer
from ..core.errors import RecipeError
from ..pruner import Pruner
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..recovery.reinitialize import kept_inputs
from ..schedule import OneShot
from ..score import Magnitude, Random
from ..training import Training

__all__ = ["as_much_computation", "at_random", "correct_spread_", "hold"]


def hold(model: nn.Module, recipe: Recipe, kept: Mapping[str, Any], example_inputs: Any = None) -> Pruner:
    """A pruner that holds a model to the masks of a finished one, and prunes no more: its ``rounds()`` are one training.

    Args:
        model: its pruned weights are zero afterwards.
        recipe: what the masks were found by.
        kept: ``state_dict`` of the pruner that found them.
        example_inputs: what that pruner had.
    """
    once = OneShot(sparsity=recipe.schedule.final)
    pruner = Pruner(
        model, dc.replace(recipe, score=Magnitude(), schedule=once, recovery=KeepTraining()), example_inputs=example_inputs
    )
    units = {part: kept[part] for part in ("masks", "units") if part in kept}
    pruner.load_state_dict({**pruner.state_dict(), **units, "round": max(1, kept["round"]), "events": 1})
    return pruner


def at_random(model: nn.Module, recipe: Recipe, kept: Mapping[str, Any], seed: int, example_inputs: Any = None) -> dict[str, Any]:
    """The state of a pruner that removed as many units of each layer or group as another, but any.

    Args:
        model: changed.
        recipe: what the masks were found by.
        kept: ``state_dict`` of the pruner that found them.
        seed: of the choice.
        example_inputs: what that pruner had.
    """
    masks = kept.get("units", kept["masks"])
    gone = {n: 1 - int(masks[n].sum()) / masks[n].numel() for n in hold(model, recipe, kept, example_inputs).targets}
    drawn = dc.replace(
        recipe,
        score=Random(seed=seed),
        allocation=PerLayer(sparsity=tuple((glob.escape(n), s) for n, s in gone.items())),
        schedule=OneShot(sparsity=recipe.schedule.final),
        recovery=KeepTraining(),
    )
    return {**Pruner(model, drawn, example_inputs=example_inputs).prune().state_dict(), "round": kept["round"]}


@torch.no_grad()
def correct_spread_(pruner: Pruner) -> None:
    """Draw new weights as wide as the smaller network's would be: w ← w / √d, with d the share of its inputs a unit keeps.

    Args:
        pruner: with its masks, on a network that was drawn as the dense one is.
    """
    for name, share in kept_inputs(pruner.model, pruner.masks).items():
        pruner.model.get_parameter(name).div_(share**0.5)


def as_much_computation(training: Training, speedup: float | None) -> Training:
    """The training of scratch-B: epochs · MACs_dense / MACs_pruned, at most twice the epochs.

    Args:
        training: of the dense network.
        speedup: MACs_dense / MACs_pruned.

    Raises:
        RecipeError: the multiply-adds could not be counted.

    Example:
        >>> as_much_computation(Training(epochs=10), 1.5).epochs, as_much_computation(Training(epochs=10), 30).epochs
        (15.0, 20.0)
    """
    if speedup is None:
        raise RecipeError(
            "training from scratch with equal computation needs the multiply-adds, and this model cannot be traced; "
            "use the control scratch_e, or budget='epochs'"
        )
    return dc.replace(training, epochs=training.epochs * min(2.0, speedup))
