"""Global magnitude pruning: the baseline every method must be compared with."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["global_magnitude"]


@method(
    paper="Blalock et al., What is the State of Neural Network Pruning?, 2020",
    source="arXiv:2003.03033",
    claim="the smallest weights of the whole network are the ones to lose; a strong baseline at every compression",
    results=("resnet20-allocation.json", "bn-recalibration.json"),
)
def global_magnitude(*, sparsity: float = 0.9, epochs: float = 10.0, learning_rate: float | None = None) -> Recipe:
    """The smallest |w| of all layers together go at once; the rest are fine-tuned.

    Args:
        sparsity: fraction of the prunable weights removed.
        epochs: epochs of fine-tuning.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> global_magnitude(sparsity=0.5).schedule.final
        0.5
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
