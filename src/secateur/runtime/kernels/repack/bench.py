"""Maps brought into tiles and back, by themselves and for a stride."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "3 @224 in, 8 @224 out": lambda: (nn.Conv2d(3, 8, 1), torch.randn(1, 3, 224, 224)),
    "a frame of 1 around 64 @56": lambda: (
        nn.Sequential(nn.ConstantPad2d(1, 0.5), nn.MaxPool2d(3, 2)),
        torch.randn(1, 64, 56, 56),
    ),
    "every 2×2, 64 @56": lambda: (nn.Conv2d(64, 8, 1, 2), torch.randn(1, 64, 56, 56)),
}
