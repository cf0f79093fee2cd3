"""Filters near the geometric median of their layer."""

from __future__ import annotations

from ..allocation import Uniform
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import GeometricMedian
from ..structure import Filters
from ._registry import method

__all__ = ["fpgm"]


@method(
    paper="He et al., Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration, 2019",
    source="arXiv:1811.00250",
    claim="the filters to lose are those that others can stand in for, not the small ones; ResNet-56 on CIFAR-10 loses half of "
    "its multiply-adds for 0.1 to 0.3 points",
    results=("filters-by-score.json",),
)
def fpgm(
    *, sparsity: float = 0.4, exclude: tuple[str, ...] = (), epochs: float = 40.0, learning_rate: float | None = None
) -> Recipe:
    """The same share of each layer's filters goes, those with the least Σ_k ‖F_j − F_k‖₂.

    Deviation: the paper zeroes the filters after every epoch of training and lets them grow back until the end; here they
    go once, and the rest is fine-tuned (its setting for pretrained networks, without the growing back).

    Args:
        sparsity: fraction of every layer's filters removed.
        exclude: name patterns of layers to leave alone.
        epochs: epochs of fine-tuning.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> fpgm(sparsity=0.3).score.name
        'geometric_median'
    """
    return Recipe(
        structure=Filters(reduce="sum"),
        score=GeometricMedian(),
        allocation=Uniform(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
        exclude=exclude,
    )
