"""Depthwise layers of MobileNetV1, and one with an activation."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]


def _layer(channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)


CASES: dict[str, Case] = {
    "3×3 32 @112": lambda: (_layer(32, 3), torch.randn(1, 32, 112, 112)),
    "3×3 128 @56, stride 2": lambda: (_layer(128, 3, 2), torch.randn(1, 128, 56, 56)),
    "3×3 512 @14": lambda: (_layer(512, 3), torch.randn(1, 512, 14, 14)),
    "5×5 240 @28, silu": lambda: (nn.Sequential(_layer(240, 5), nn.SiLU()), torch.randn(1, 240, 28, 28)),
}
