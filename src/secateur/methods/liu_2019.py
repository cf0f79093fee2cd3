"""Rethinking pruning: the pruned network trained from scratch."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Reinitialize
from ..schedule import OneShot
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["liu_2019"]


@method(
    paper="Liu et al., Rethinking the Value of Network Pruning, 2019",
    source="arXiv:1810.05270",
    claim="a pruned architecture trained from new weights, given the same computation, is as good as the fine-tuned network",
    results=("scratch.json",),
)
def liu_2019(*, sparsity: float = 0.9, budget: str = "epochs", seed: int = 0) -> Recipe:
    """The smallest |w| of all layers go at once; what is left is drawn anew and trained as the dense network was.

    For any other method, ask for it as a control: ``control: scratch_e`` or ``scratch_b`` in the experiment's file.

    Args:
        sparsity: fraction of the prunable weights removed.
        budget: ``epochs``, as many as the dense network had (scratch-E), or ``computation``, as many multiply-adds, within
            twice the epochs (scratch-B).
        seed: of the new weights.

    Example:
        >>> liu_2019(budget="computation").recovery.budget
        'computation'
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Reinitialize(seed=seed, scaled=True, budget=budget),
    )
