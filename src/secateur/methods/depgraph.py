"""Coupled channels, scored over all layers they reach."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Filters
from ._registry import method

__all__ = ["depgraph"]


@method(
    paper="Fang et al., DepGraph: Towards Any Structural Pruning, 2023",
    source="arXiv:2301.12900",
    claim="coupled channels go by the norm of all their weights; ResNet-56 keeps its accuracy on CIFAR-10 at 2.1 times fewer "
    "multiply-adds",
    results=("resnet56-filters.json",),
)
def depgraph(
    *,
    sparsity: float = 0.5,
    rounds: int = 1,
    round_to: int = 1,
    epochs: float = 10.0,
    learning_rate: float | None = None,
) -> Recipe:
    """Units with the least mean L2 norm over their members go, relative to their group's mean, wherever they are.

    I_k = mean over the members m of ‖w_m[k]‖₂, divided by the mean of I over the group's units. Needs ``example_inputs``.

    Deviation: without the sparse training that the paper also gives.

    Args:
        sparsity: fraction of the parameters that units own which is removed.
        rounds: rounds of prune and fine-tune.
        round_to: kept widths are a multiple of this.
        epochs: epochs of fine-tuning after each round.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> depgraph(rounds=3).structure.normalize
        'mean'
    """
    return Recipe(
        structure=Filters(reduce="l2", members="all", normalize="mean", round_to=round_to),
        score=Magnitude(),
        allocation=Global(),
        schedule=Iterative(rounds=rounds).at(sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
