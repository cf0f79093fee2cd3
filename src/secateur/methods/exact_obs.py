"""Layers pruned to least squares on their own outputs, without training."""

from __future__ import annotations

from ..allocation import Uniform
from ..recipe import Recipe
from ..recovery import Reconstruct
from ..schedule import OneShot
from ..score import OBS
from ..structure import Weights
from ._registry import method

__all__ = ["exact_obs"]


@method(
    paper="Frantar & Alistarh, Optimal Brain Compression: A Framework for Accurate Post-Training Quantization and Pruning, 2022",
    source="arXiv:2208.11580",
    claim="removing weights one by one, with the rest of each row making up for it, prunes a trained network by half at under a "
    "point, in one shot and without training",
    results=("exact-obs.json",),
)
def exact_obs(*, sparsity: float = 0.5, damping: float = 1e-4, recalibrate: int = 0) -> Recipe:
    """The smallest increments w²/(2[H⁻¹]_pp) of each layer go; the rest of its weights are refitted to its former outputs.

    Needs ``data``: some hundred examples from training.

    Deviation: every layer loses the same share; the paper's better results choose the shares by a search.

    Args:
        sparsity: fraction of every layer's weights removed.
        damping: of H, relative to the mean of its diagonal.
        recalibrate: training examples over which batch norms take their statistics anew afterwards; 0 leaves them.

    Example:
        >>> exact_obs(recalibrate=1000).recovery.to_dict(minimal=True)
        {'name': 'reconstruct', 'recalibrate': 1000}
    """
    return Recipe(
        structure=Weights(),
        score=OBS(damping=damping),
        allocation=Uniform(),
        schedule=OneShot(sparsity=sparsity),
        recovery=Reconstruct(damping=damping, recalibrate=recalibrate),
    )
