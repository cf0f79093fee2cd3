"""RigL: sparse from start to end, weights going where the gradient is large."""

from __future__ import annotations

from ..allocation import ERK, Uniform
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..schedule import DropGrow
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["rigl"]


@method(
    paper="Evci et al., Rigging the Lottery: Making All Tickets Winners, 2020",
    source="arXiv:1911.11134",
    claim="a network that is sparse from start to end matches one pruned from dense, and beats SET's and a static one",
    results=("dynamic-sparse.json", "dynamic-sparse-conv.json"),
    start="initial",
)
def rigl(
    *,
    sparsity: float = 0.9,
    end: int = 1000,
    every: int = 100,
    fraction: float = 0.3,
    uniform: bool = False,
    seed: int = 0,
) -> Recipe:
    """A random mask at first; then the smallest |w| of each layer go and as many come where |∂L/∂w| is largest, from 0.

    With all layers equally sparse the paper leaves the first one dense: ``Recipe(exclude=...)`` names it. An exchange comes
    after the optimizer's step here, and in the authors' code in its place.

    Args:
        sparsity: fraction removed, from the first step on.
        end: optimizer steps after which nothing is exchanged any more; three quarters of the training.
        every: optimizer steps between exchanges.
        fraction: share of a layer's weights in the first exchanges; it falls along a cosine.
        uniform: all layers equally sparse, instead of Erdős–Rényi-kernel densities.
        seed: of the first mask.

    Example:
        >>> round(rigl(end=300).schedule.fraction_at(150), 2)
        0.15
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Uniform() if uniform else ERK(),
        schedule=DropGrow(sparsity=sparsity, end=end, every=every, fraction=fraction, seed=seed),
        recovery=KeepTraining(),
    )
