"""Fine-tuning that keeps the weights it moves away from zero."""

from __future__ import annotations

from ..allocation import Uniform
from ..recipe import Recipe
from ..recovery import Finetune, KeepTraining
from ..schedule import Cubic
from ..score import Movement
from ..structure import Weights
from ._registry import method

__all__ = ["movement"]


@method(
    paper="Sanh, Wolf & Rush, Movement Pruning: Adaptive Sparsity by Fine-Tuning, 2020",
    source="arXiv:2005.07683",
    claim="in transfer learning, movement beats magnitude clearly where less than 15 % of the weights are left",
    results=("movement.json",),
)
def movement(
    *,
    sparsity: float = 0.9,
    begin: int = 0,
    end: int = 1000,
    every: int = 10,
    mask_learning_rate: float = 1e-2,
    epochs: float | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """The weights of each layer with the least S = −Σ_t ⟨∂L/∂W′, W⟩ are masked along a cubic ramp, and may come back on it.

    Deviations: the masks are chosen anew every few steps and not at each; they stay as they are after the ramp, where the
    authors go on choosing.

    Args:
        sparsity: fraction removed from every layer at the end.
        begin: optimizer steps before the first event (published: one epoch).
        end: optimizer steps at the last event (published: leave the last two epochs or more).
        every: optimizer steps between events.
        mask_learning_rate: of S.
        epochs: epochs of the training it happens in, when that is a fine-tuning; None for the first training's own.
        learning_rate: peak rate of that fine-tuning.

    Example:
        >>> movement(sparsity=0.94).score.learning_rate
        0.01
    """
    return Recipe(
        structure=Weights(),
        score=Movement(learning_rate=mask_learning_rate),
        allocation=Uniform(),
        schedule=Cubic(sparsity=sparsity, begin=begin, end=end, every=every),
        recovery=KeepTraining() if epochs is None else Finetune(epochs=epochs, learning_rate=learning_rate),
    )
