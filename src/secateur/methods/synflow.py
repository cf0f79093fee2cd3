"""Pruning at initialisation without data."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..schedule import OneShot
from ..score import SynFlow
from ..structure import Weights
from ._registry import method

__all__ = ["synflow"]


@method(
    paper="Tanaka et al., Pruning neural networks without any data by iteratively conserving synaptic flow, 2020",
    source="arXiv:2006.05467",
    claim="a hundred small steps by synaptic flow never empty a layer while others have weights to spare, and networks train "
    "at sparsities where other pruning at initialisation leaves them at chance",
    results=("at-initialisation.json",),
    start="initial",
)
def synflow(*, sparsity: float = 0.9, iterations: int = 100) -> Recipe:
    """The smallest |θ|·∂R/∂|θ| go, in many steps without training between, from the untrained network, which is then trained.

    Needs ``example_inputs`` (or ``data``) for the shape of an input, no labels.

    Deviation: biases and the shifts of norms are no part of R, as in its formula; the released code keeps their absolute
    values.

    Args:
        sparsity: fraction of all weights removed, the classifier's included.
        iterations: n, with density ρ^(k/n) after the k-th.

    Example:
        >>> synflow(sparsity=0.99).schedule.iterations
        100
    """
    return Recipe(
        structure=Weights(),
        score=SynFlow(),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity, iterations=iterations),
        recovery=KeepTraining(),
        prune_classifier=True,
    )
