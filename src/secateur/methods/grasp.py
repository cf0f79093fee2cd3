"""Pruning at initialisation that preserves the flow of gradients."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..schedule import OneShot
from ..score import Grasp
from ..structure import Weights
from ._registry import method

__all__ = ["grasp"]


@method(
    paper="Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow, 2020",
    source="arXiv:2002.07376",
    claim="pruned before training so that gradients keep flowing, VGG-19 on CIFAR-10 has 92.2 % accuracy with 2 % of its "
    "weights, and beats SNIP there",
    results=("at-initialisation.json",),
    start="initial",
)
def grasp(*, sparsity: float = 0.9, temperature: float = 200.0) -> Recipe:
    """The weights without which ‖∇L‖² would be largest, by −θ ⊙ Hg, go from the untrained network, which is then trained.

    For a network as it was initialised; ``data`` with 10 examples of each class, in batches as training has them.

    Deviations: linear layers are not initialised anew before; g and H are of the weights that can be pruned.

    Args:
        sparsity: fraction of all weights removed, the classifier's included.
        temperature: what the model's output is divided by before the loss sees it.

    Example:
        >>> grasp(sparsity=0.98).score.temperature
        200.0
    """
    return Recipe(
        structure=Weights(),
        score=Grasp(temperature=temperature),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=KeepTraining(),
        prune_classifier=True,
    )
