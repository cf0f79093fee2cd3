"""Fine-tuning that keeps the weights it moves away from zero, as many as they are."""

from __future__ import annotations

from ..allocation import Threshold
from ..recipe import Recipe
from ..recovery import Finetune, KeepTraining
from ..schedule import OneShot
from ..score import SoftMovement
from ..structure import Weights
from ._registry import method

__all__ = ["soft_movement"]


@method(
    paper="Sanh, Wolf & Rush, Movement Pruning: Adaptive Sparsity by Fine-Tuning, 2020",
    source="arXiv:2005.07683",
    claim="with a threshold and a penalty on the scores instead of a share, every layer finds its own sparsity, and more goes",
    results=("movement.json",),
)
def soft_movement(
    *,
    penalty: float = 10.0,
    threshold: float = 0.1,
    begin: int = 0,
    ramp: int = 750,
    steps: int = 1000,
    mask_learning_rate: float = 1e-2,
    epochs: float | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """Weights with sigmoid(S) ≤ τ_t are masked while λ_t · mean sigmoid(S) is added to the loss; after ``steps`` for good.

    Args:
        penalty: λ after the ramp: how much goes (published: 10 to 400).
        threshold: τ after the ramp.
        begin: optimizer steps before it.
        ramp: its steps.
        steps: optimizer steps until the masks stay as they are.
        mask_learning_rate: of S.
        epochs: epochs of the training it happens in, when that is a fine-tuning; None for the first training's own.
        learning_rate: peak rate of that fine-tuning.

    Example:
        >>> soft_movement(threshold=0.2).allocation.at
        0.2
    """
    score = SoftMovement(penalty=penalty, threshold=threshold, begin=begin, ramp=ramp, learning_rate=mask_learning_rate)
    return Recipe(
        structure=Weights(),
        score=score,
        allocation=Threshold(at=threshold),
        schedule=OneShot(at_training_step=steps),
        recovery=KeepTraining() if epochs is None else Finetune(epochs=epochs, learning_rate=learning_rate),
    )
