"""Two-dimensional kernels of a convolution."""

from __future__ import annotations

from torch import Tensor

from ..core.component import component
from ..core.layers import Target
from .base import Grouped

__all__ = ["Kernels"]


@component
class Kernels(Grouped):
    """The k×k kernel that joins one input channel to one output channel; layers without kernels stay dense.

    Args:
        reduce: how a kernel's weights make its score: ``mean``, ``sum`` or ``max``.

    Example:
        >>> import torch
        >>> Kernels(reduce="sum").units(torch.ones(2, 3, 5, 5), None)
        tensor([[25., 25., 25.],
                [25., 25., 25.]])

    Source:
        Anwar et al., *Structured Pruning of Deep Convolutional Neural Networks*, 2015, arXiv:1512.08571.
    """

    def misfit(self, target: Target) -> str | None:
        """Only convolutions have kernels."""
        return None if target.kernel else "it has no kernels: only convolutions do"

    def groups(self, values: Tensor) -> Tensor:
        """``[out, in, k·k]``."""
        return values.flatten(2)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Each kernel's answer for all its weights."""
        return keep.view(*keep.shape, *[1] * (len(shape) - 2)).expand(shape).contiguous()
