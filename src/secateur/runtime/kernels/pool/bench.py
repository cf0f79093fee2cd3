"""Pooling as networks have it."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "max 3×3, stride 2, 64 @112": lambda: (nn.MaxPool2d(3, 2, 1), torch.randn(1, 64, 112, 112)),
    "max 2×2, 128 @56": lambda: (nn.MaxPool2d(2), torch.randn(1, 128, 56, 56)),
    "mean 3×3, stride 1, 64 @35": lambda: (nn.AvgPool2d(3, 1, 1), torch.randn(1, 64, 35, 35)),
}
