"""One ranking over all layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.component import component, param
from ..core.layers import Layer
from ..core.select import keep_over_layers
from .base import Allocation

__all__ = ["Global"]


@component
class Global(Allocation):
    """The units of all layers compete: the worst go, wherever they are, until the sparsity is reached.

    Units of equal size are counted exactly: Σn − round(s·Σn) stay. Units of different size (filters, kernels) go in the
    order of their scores until the share of removed parameters is nearest the sparsity. A layer that would be emptied keeps
    its best units, and others go in their place, so that something can still flow; where fewer units are wanted than that
    takes, the count comes first.

    Args:
        floor: units that every layer keeps (all it has, if fewer); 0 lets scores empty a layer, as papers on layer collapse do.

    Example:
        >>> from secateur import Recipe
        >>> Recipe(allocation=Global()).allocation.name
        'global'

    Source:
        "global" in Blalock et al., *What is the State of Neural Network Pruning?*, 2020, arXiv:2003.03033.
    """

    floor: int = param(default=1, ge=0)

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select over all layers at once."""
        sources, units, costs = [x.score for x in layers], [x.units for x in layers], [x.cost for x in layers]
        keep = keep_over_layers(sources, units, costs, sparsity, self.floor)
        return {x.name: k for x, k in zip(layers, keep, strict=True)}
