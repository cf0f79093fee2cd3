"""Layers with weights: none zero, nine of ten, blocks, strides, groups."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..common import Case

__all__ = ["CASES"]


def _sparse(layer: nn.Module, sparsity: float, rows: int = 1, columns: int = 1) -> nn.Module:
    """A layer without some of its weights, in blocks of its matrix."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    matrix = weight.data.flatten(1)
    alive = torch.rand(len(matrix) // rows, matrix.shape[1] // columns) >= sparsity
    matrix *= alive.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
    return layer


CASES: dict[str, Case] = {
    "1×1 64→256 @56, 90%": lambda: (_sparse(nn.Conv2d(64, 256, 1), 0.9), torch.randn(1, 64, 56, 56)),
    "3×3 128→128 @28, 90%": lambda: (_sparse(nn.Conv2d(128, 128, 3, padding=1), 0.9), torch.randn(1, 128, 28, 28)),
    "3×3 256→256 @14, stride 2, 90%": lambda: (_sparse(nn.Conv2d(256, 256, 3, 2, 1), 0.9), torch.randn(1, 256, 14, 14)),
    "3×3 512→512 @7, dense": lambda: (nn.Conv2d(512, 512, 3, padding=1), torch.randn(1, 512, 7, 7)),
    "768→3072, 128 tokens, 90%": lambda: (_sparse(nn.Linear(768, 3072), 0.9), torch.randn(1, 128, 768)),
    "768→3072, 128 tokens, 90%, gelu": lambda: (
        nn.Sequential(_sparse(nn.Linear(768, 3072), 0.9), nn.GELU()),
        torch.randn(1, 128, 768),
    ),
    "768→3072, 128 tokens, 90% in 8×1": lambda: (_sparse(nn.Linear(768, 3072), 0.9, 8), torch.randn(1, 128, 768)),
    "768→3072, 128 tokens, 90% in 4×4": lambda: (_sparse(nn.Linear(768, 3072), 0.9, 4, 4), torch.randn(1, 128, 768)),
    "768→3072, 128 tokens, 90% in 1×8": lambda: (_sparse(nn.Linear(768, 3072), 0.9, 1, 8), torch.randn(1, 128, 768)),
    "3×3 128→128 @28, 90% of kernels": lambda: (
        _sparse(nn.Conv2d(128, 128, 3, padding=1), 0.9, 1, 9),
        torch.randn(1, 128, 28, 28),
    ),
    "4096→4096, one vector, 90%": lambda: (_sparse(nn.Linear(4096, 4096), 0.9), torch.randn(1, 4096)),
}
