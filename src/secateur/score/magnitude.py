"""The weight's absolute value."""

from __future__ import annotations

from torch import Tensor

from ..core.component import component, param
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Magnitude"]


@component
class Magnitude(Score):
    """A weight matters as much as it is large: S = |w|^p.

    For single weights p changes nothing. Over a group the mean of |w|^p ranks as the group's p-norm does.

    Args:
        p: the exponent, 1 for L1 and 2 for L2 norms of groups.
        penalty: λ; training adds λ·Σ|w|^p over the scored weights to the loss until they have been pruned
            (``pruner.penalty()`` in your own loop).

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> Magnitude(p=2)(torch.tensor([-3.0, 1.0]), Statistics(name="w"))
        tensor([9., 1.])

    Source:
        Han et al., *Learning both Weights and Connections for Efficient Neural Networks*, 2015, arXiv:1506.02626.
    """

    p: float = param(default=1.0, gt=0)
    penalty: float = param(default=0.0, ge=0)

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """|w|^p."""
        return weight.abs() if self.p == 1 else weight.abs().pow_(self.p)

    def regulariser(self, weight: Tensor) -> Tensor | None:
        """λ·Σ|w|^p."""
        return self.penalty * (weight.abs() if self.p == 1 else weight.abs().pow(self.p)).sum() if self.penalty else None
