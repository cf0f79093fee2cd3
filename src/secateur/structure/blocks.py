"""Rectangular blocks of a weight matrix."""

from __future__ import annotations

from torch import Tensor

from ..core.component import component, param
from ..core.errors import RecipeError
from ..core.layers import Target
from .base import Grouped

__all__ = ["Blocks"]


@component
class Blocks(Grouped):
    """Blocks of R outputs × C inputs; a convolution counts as the matrix ``[out, in·k·k]``.

    Blocks that share their inputs across R outputs load each input once: R×1 blocks run fast on CPUs, square ones on
    accelerators. A layer whose matrix the block does not tile stays dense.

    Args:
        shape: (R, C), in weights.
        reduce: how a block's weights make its score: ``mean``, ``sum`` or ``max``.

    Example:
        >>> import torch
        >>> Blocks(shape=(2, 2)).units(torch.arange(16.0).view(4, 4), None)
        tensor([[ 2.5000,  4.5000],
                [10.5000, 12.5000]])

    Source:
        Gray et al., *GPU Kernels for Block-Sparse Weights*, 2017; Elsen et al., *Fast Sparse ConvNets*, 2019, arXiv:1911.09723.
    """

    shape: tuple[int, int] = param(default=(8, 1), ge=1)

    def misfit(self, target: Target) -> str | None:
        """The block must tile the layer's matrix."""
        rows, columns = _matrix(target.shape)
        r, c = self.shape
        return f"{rows}×{columns} is not tiled by {r}×{c} blocks" if rows % r or columns % c else None

    def groups(self, values: Tensor) -> Tensor:
        """``[out / R, in / C, R·C]``."""
        rows, columns = _matrix(tuple(values.shape))
        r, c = self.shape
        return values.reshape(rows // r, r, columns // c, c).transpose(1, 2).flatten(2)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Each block's answer for all its weights."""
        r, c = self.shape
        return keep.repeat_interleave(r, 0).repeat_interleave(c, 1).reshape(shape)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) < 2:
        raise RecipeError(f"structure 'blocks' needs a weight of two dimensions or more; got shape {list(shape)}")
    columns = 1
    for n in shape[1:]:
        columns *= n
    return shape[0], columns
