"""Global gradient-magnitude pruning."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import Snip
from ..structure import Weights
from ._registry import method

__all__ = ["global_gradient"]


@method(
    paper="Blalock et al., What is the State of Neural Network Pruning?, 2020",
    source="arXiv:2003.03033",
    claim="the weights whose removal changes the loss least, to first order, on one minibatch",
    results=("demo-digits.json", "layer-budgets.json"),
)
def global_gradient(*, sparsity: float = 0.9, epochs: float = 10.0, learning_rate: float | None = None) -> Recipe:
    """The smallest |w·∂L/∂w| of all layers together go at once; the rest are fine-tuned.

    Args:
        sparsity: fraction of the prunable weights removed.
        epochs: epochs of fine-tuning.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> global_gradient(sparsity=0.5).schedule.final
        0.5
    """
    return Recipe(
        structure=Weights(),
        score=Snip(),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
