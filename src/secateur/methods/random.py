"""Random pruning: the control."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import Random
from ..structure import Weights
from ._registry import method

__all__ = ["random"]


@method(
    paper="Blalock et al., What is the State of Neural Network Pruning?, 2020",
    source="arXiv:2003.03033",
    claim="any score worth its name is better than none at compression 4 and above",
    results=("resnet20-allocation.json",),
    control=True,
)
def random(*, sparsity: float = 0.9, epochs: float = 10.0, learning_rate: float | None = None, seed: int = 0) -> Recipe:
    """Weights drawn by lot go at once; the rest are fine-tuned.

    Args:
        sparsity: fraction of the prunable weights removed.
        epochs: epochs of fine-tuning.
        learning_rate: its peak rate; None for a tenth of the first training's.
        seed: of the lot.

    Example:
        >>> random(sparsity=0.5).schedule.final
        0.5
    """
    return Recipe(
        structure=Weights(),
        score=Random(seed=seed),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
