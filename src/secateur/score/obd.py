"""Second-order saliency, the weights one by one."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["OBD"]


@component
class OBD(Score):
    """A weight matters as much as the loss would rise without it, were the others indifferent: S = ½ h w².

    h is the diagonal of the Hessian where training has ended, here the empirical Fisher's: the mean over the examples of
    (∂L/∂w)², each example by itself. It takes one backward pass an example.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> OBD()(torch.tensor([2.0, 3.0]), Statistics(name="w", squared_gradient=torch.tensor([0.25, 2.0])))
        tensor([0.5000, 9.0000])

    Source:
        LeCun et al., *Optimal Brain Damage*, 1990, which takes h from second-order back-propagation.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"squared_gradient"})

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """½ h w²."""
        if statistics.squared_gradient is None:
            raise DataError("score 'obd' needs the squared gradients of the examples; pass Pruner(..., data=batches)")
        return weight.square() * (statistics.squared_gradient / 2)
