"""The same sparsity in every layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.component import component
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest
from .base import Allocation

__all__ = ["Uniform"]


@component
class Uniform(Allocation):
    """Every layer keeps its best n_l − round(s·n_l) units (layer-wise, local pruning).

    Example:
        >>> from secateur import Recipe
        >>> Recipe(allocation=Uniform()).allocation.name
        'uniform'

    Source:
        Zhu & Gupta, *To prune, or not to prune*, 2017, arXiv:1710.01878; "layerwise" in Blalock et al. 2020.
    """

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select within each layer."""
        return {x.name: keep_largest([x.score], x.units - count_removed(sparsity, x.units))[0] for x in layers}
