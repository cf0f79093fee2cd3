"""SET: sparse from start to end, weights moving at random."""

from __future__ import annotations

from ..allocation import ERK, Uniform
from ..recipe import Recipe
from ..recovery import KeepTraining
from ..schedule import DropGrow
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["set_2018"]


@method(
    paper="Mocanu et al., Scalable training of artificial neural networks with adaptive sparse connectivity, 2018",
    source="arXiv:1707.04780",
    claim="sparse layers whose weights move as they train match dense ones, and beat those whose sparse pattern is fixed",
    results=("dynamic-sparse.json", "dynamic-sparse-conv.json"),
    start="initial",
)
def set_2018(
    *,
    sparsity: float = 0.9,
    end: int = 1000,
    every: int = 100,
    fraction: float = 0.3,
    new_scale: float = 0.1,
    uniform: bool = False,
    seed: int = 0,
) -> Recipe:
    """An Erdős–Rényi mask at first; then the weights nearest 0 of each layer go and as many come anywhere.

    The paper drops that share of the positive and of the negative weights, here it is of all by |w|; it names no scale of
    new weights and exchanges after every epoch (``every``) but the last.

    Args:
        sparsity: fraction removed, from the first step on.
        end: optimizer steps after which nothing is exchanged any more; the last epoch's first, in the paper.
        every: optimizer steps between exchanges; an epoch's, in the paper.
        fraction: ζ, share of a layer's weights in each exchange.
        new_scale: standard deviation of new weights, in units of the root mean square of the layer's.
        uniform: all layers equally sparse, instead of Erdős–Rényi densities.
        seed: of the masks.

    Example:
        >>> set_2018(end=300).schedule.fraction_at(200)
        0.3
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Uniform() if uniform else ERK(kernel=False),
        schedule=DropGrow(
            sparsity=sparsity, end=end, every=every, fraction=fraction, decay="constant", grow="random", new_scale=new_scale,
            seed=seed,
        ),
        recovery=KeepTraining(),
    )  # fmt: skip
