"""Whole output channels and neurons."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from .base import Grouped

__all__ = ["Filters"]


@component
class Filters(Grouped):
    """Everything that makes one output: a convolution's filter or a neuron's row, with its bias and batch-norm entries.

    A masked filter's output is exactly zero, through the batch norm that alone reads it too.

    Args:
        reduce: how a filter's weights make its score: ``mean``, ``sum`` or ``max``.

    Example:
        >>> import torch
        >>> Filters().units(torch.tensor([[1.0, 3.0], [0.0, 1.0]]), None)
        tensor([2.0000, 0.5000])

    Source:
        Li et al., *Pruning Filters for Efficient ConvNets*, 2016, arXiv:1608.08710.
    """

    followers: ClassVar[bool] = True

    def groups(self, values: Tensor) -> Tensor:
        """``[out, in·k·k]``."""
        return values.flatten(1)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Each filter's answer for all its weights."""
        return keep.view(-1, *[1] * (len(shape) - 1)).expand(shape).contiguous()
