"""Single weights (unstructured pruning)."""

from __future__ import annotations

import math

from torch import Tensor

from ..core.component import component
from .base import Structure

__all__ = ["Weights"]


@component
class Weights(Structure):
    """Every weight is a unit of its own: fine-grained, unstructured sparsity.

    Example:
        >>> import torch
        >>> Weights().units(torch.tensor([[1.0, 2.0]]), torch.tensor([[True, False]]))
        tensor([[1., -inf]])

    Source:
        Han et al., *Learning both Weights and Connections for Efficient Neural Networks*, 2015, arXiv:1506.02626.
    """

    def units(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """The scores themselves."""
        return scores if mask is None else scores.masked_fill(~mask, -math.inf)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The choice itself."""
        return keep
