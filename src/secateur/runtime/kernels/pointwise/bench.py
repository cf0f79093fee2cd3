"""Sums, activations and joins, behind something small: alone, torch keeps them, and layers with weights take activations in."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..common import Case

__all__ = ["CASES"]


class _Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """A residual branch's end."""
        return F.relu(x + F.hardtanh(x, -0.5, 0.5))


class _Join(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """Two maps, one after the other."""
        return torch.cat([F.relu(x), x], 1)


CASES: dict[str, Case] = {
    "sum and relu, 256 @56": lambda: (nn.Sequential(nn.Conv2d(3, 256, 1), _Sum()), torch.randn(1, 3, 56, 56)),
    "gelu, 256 @28": lambda: (nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.GELU()), torch.randn(1, 256, 28, 28)),
    "silu, 96 @56": lambda: (nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.SiLU()), torch.randn(1, 96, 56, 56)),
    "join of 64 and 64 @28": lambda: (_Join(), torch.randn(1, 64, 28, 28)),
}
