"""What each example's loss would change by, to first order."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import Component, component
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Taylor"]


@component
class Taylor(Score):
    """As ``Snip``, one example at a time: a unit's score is the mean over examples of its pooled w·∂L/∂w.

    Over a whole data set the gradients of a trained network all but cancel; those of single examples do not. Two forms
    for units: √Σ(w·g)² of weights one by one (``reduce="l2"``), and |Σ w·g| of the unit as one (``signed``, with
    ``reduce="abs_sum"``). The second is |∂L/∂ξ| for a gate ξ on all these weights at once: over the weights that read a
    unit (``members="consumers"``) it is the gate on the unit's output, behind its batch norm and activation.

    Args:
        signed: leave w·∂L/∂w its sign, for structures that add up before they take the absolute value.

    Example:
        >>> import torch
        >>> one = Statistics(name="w", gradient=torch.tensor([-1.0, 0.5]))
        >>> Taylor()(torch.tensor([2.0, 3.0]), one), Taylor(signed=True)(torch.tensor([2.0, 3.0]), one)
        (tensor([2.0000, 1.5000]), tensor([-2.0000,  1.5000]))

    Source:
        Molchanov et al., *Importance Estimation for Neural Network Pruning*, 2019, arXiv:1906.10771, §3.1, which squares
        where this takes absolute values; Michel et al., *Are Sixteen Heads Really Better than One?*, 2019,
        arXiv:1905.10650, §4.1, for gates on heads.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"example_gradient"})

    signed: bool = False

    def conflict(self, other: Component) -> str | None:
        """A sign means something only to a pool that adds up first; one example's best n of m are not another's."""
        if other.axis != "structure":
            return None
        if other.name == "nm":
            return "it is averaged over examples, and each has other weights that are safe in a group"
        if self.signed and getattr(other, "reduce", None) != "abs_sum":
            return "its scores have signs, which only reduce='abs_sum' adds up"
        return None

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """The product, or its absolute value."""
        if statistics.gradient is None:
            raise DataError("score 'taylor' needs the gradient of each example; pass Pruner(..., data=batches)")
        contribution = weight * statistics.gradient
        return contribution if self.signed else contribution.abs_()
