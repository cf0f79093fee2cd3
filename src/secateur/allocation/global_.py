"""One ranking over all layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.component import component
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest, keep_within_budget
from .base import Allocation

__all__ = ["Global"]


@component
class Global(Allocation):
    """The units of all layers compete: the worst go, wherever they are, until the sparsity is reached.

    Units of equal size are counted exactly: Σn − round(s·Σn) stay. Units of different size (filters, kernels) go in the
    order of their scores until the share of removed parameters is nearest the sparsity.

    Example:
        >>> from secateur import Recipe
        >>> Recipe(allocation=Global()).allocation.name
        'global'

    Source:
        "global" in Blalock et al., *What is the State of Neural Network Pruning?*, 2020, arXiv:2003.03033.
    """

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select over all layers at once."""
        sources = [x.score for x in layers]
        if len({x.cost for x in layers}) == 1:
            total = sum(x.units for x in layers)
            keep = keep_largest(sources, total - count_removed(sparsity, total))
        else:
            keep = keep_within_budget(sources, [x.cost for x in layers], sparsity)
        return {x.name: k for x, k in zip(layers, keep, strict=True)}
