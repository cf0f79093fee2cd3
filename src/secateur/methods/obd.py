"""Weights whose loss the curvature says is small."""

from __future__ import annotations

from ..allocation import Global
from ..goal import Sparsity
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import OBD
from ..structure import Weights
from ._registry import method

__all__ = ["obd"]


@method(
    paper="LeCun et al., Optimal Brain Damage, 1990",
    source="https://proceedings.neurips.cc/paper/1989/hash/6c9882bbac1c7093bd25041881277658-Abstract.html",
    claim="by second derivatives a digit network loses more than half of its weights at no loss, where magnitude alone costs "
    "accuracy much sooner",
    results=("exact-obs.json",),
)
def obd(*, sparsity: float = 0.9, rounds: int = 5, epochs: float = 10.0, learning_rate: float | None = None) -> Recipe:
    """The smallest ½·h·w² of a trained network go, in rounds of deleting and training again.

    Needs ``data``; one backward pass an example at each round.

    Deviation: h is the mean over examples of squared gradients, where the paper back-propagates second derivatives.

    Args:
        sparsity: fraction of the prunable weights removed after the last round.
        rounds: rounds of deleting and training.
        epochs: epochs of training in each round.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> obd(sparsity=0.75, rounds=2).schedule.rate
        0.5
    """
    return Recipe(
        structure=Weights(),
        score=OBD(),
        allocation=Global(),
        schedule=Iterative(rounds=rounds).at(Sparsity(sparsity).fraction),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
