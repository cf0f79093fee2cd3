"""How far a filter is from the others."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.component import Component, component
from ..core.statistics import Statistics
from .base import Score

__all__ = ["GeometricMedian"]


@component
class GeometricMedian(Score):
    """A filter matters as much as the others cannot stand in for it: Σ_k ‖F_j − F_k‖₂ over the filters of its layer.

    The filter with the least sum is nearest to the layer's geometric median. The number is a filter's, so each of its n
    weights gets the n-th part: their sum gives it back, and their mean ranks a layer's filters alike. Filters that are zero
    throughout, the pruned ones, are not among the F_k. Layers differ in scale: give each its own share.

    Example:
        >>> from secateur.core.statistics import Statistics
        >>> near, same, far = [3.0, 4.0], [3.0, 4.0], [0.0, 1.0]  # the two that are alike are the longest, and go first
        >>> GeometricMedian()(torch.tensor([near, same, far]), Statistics(name="w")).sum(1)
        tensor([4.2426, 4.2426, 8.4853])

    Source:
        He et al., *Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration*, 2019,
        arXiv:1811.00250.
    """

    def conflict(self, other: Component) -> str | None:
        """It says nothing of parts of a filter."""
        if other.axis == "structure" and not other.followers:  # type: ignore[attr-defined]
            return "it tells filters apart, and this structure does not remove whole ones"
        return None

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """Σ_k ‖F_j − F_k‖₂ / n, for every weight of filter j."""
        filters = weight.reshape(len(weight), -1)
        there = filters[filters.any(1)]
        # matrix products would lose the distance of near filters, and with it exact ties
        distances = torch.cdist(filters, there, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
        share = distances / filters.shape[1]
        return share.view(-1, *[1] * (weight.ndim - 1)).expand(weight.shape).contiguous()
