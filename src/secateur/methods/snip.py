"""Pruning at initialisation by connection sensitivity."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..schedule import OneShot
from ..score import Snip
from ..structure import Weights
from ._registry import method

__all__ = ["snip"]


@method(
    paper="Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, 2019",
    source="arXiv:1810.02340",
    claim="pruned once before any training, by one batch, LeNet-300-100 keeps its accuracy on MNIST with 5 % of its weights",
    results=("at-initialisation.json",),
    start="initial",
)
def snip(*, sparsity: float = 0.9) -> Recipe:
    """The smallest |w·∂L/∂w| of all layers together go from the untrained network, which is then trained.

    For a network as it was initialised, with variance scaling, and one batch as ``data``.

    Deviations: biases are not pruned; of scores that would empty a layer, its best weight is spared.

    Args:
        sparsity: fraction of all weights removed, the classifier's included.

    Example:
        >>> snip(sparsity=0.95).schedule.final
        0.95
    """
    return Recipe(
        structure=Weights(),
        score=Snip(),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=KeepTraining(),
        prune_classifier=True,
    )
