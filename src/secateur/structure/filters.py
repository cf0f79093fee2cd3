"""Whole output channels and neurons."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from ..core.coupling import Coupling
from .coupled import Coupled

__all__ = ["Filters"]


@component
class Filters(Coupled):
    """Everything that makes one output: a convolution's filter or a neuron's row, with its bias and batch-norm entries.

    A masked filter's output is exactly zero, through the batch norm that alone reads it too. With example inputs a unit
    reaches further: all filters that are added to one another go together, with the weights that read them, and
    ``shrink_`` can cut them out. Attention heads are not filters: see ``Heads``.

    Args:
        reduce: how a filter's weights make its score: ``mean``, ``sum``, ``max``, ``l2``, or ``abs_sum`` (of scores
            with signs).
        members: what a coupled unit is scored on: its ``producers`` (filters), its ``consumers`` (the weights that read
            it), its ``scales`` (of the norms it passes), or ``all`` its weights.
        across: how the scores of several members make the unit's: ``mean``, ``sum`` or ``max``.
        normalize: what a group's scores are divided by before groups compete: ``none``, or their ``mean``, ``max``, ``l2``.
        round_to: kept filters of a coupled group are a multiple of this, where any go.

    Example:
        >>> import torch
        >>> Filters().units(torch.tensor([[1.0, 3.0], [0.0, 1.0]]), None)
        tensor([2.0000, 0.5000])

    Source:
        Li et al., *Pruning Filters for Efficient ConvNets*, 2016, arXiv:1608.08710.
    """

    followers: ClassVar[bool] = True

    def misfit_group(self, group: Coupling) -> str | None:
        """Anything a layer makes, but heads."""
        return "its units are heads: use Heads()" if group.heads else None

    def groups(self, values: Tensor) -> Tensor:
        """``[out, in·k·k]``."""
        return values.flatten(1)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Each filter's answer for all its weights."""
        return keep.view(-1, *[1] * (len(shape) - 1)).expand(shape).contiguous()
