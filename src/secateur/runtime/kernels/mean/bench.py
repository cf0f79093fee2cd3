"""Means over whole maps."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "2048 @7": lambda: (nn.AdaptiveAvgPool2d(1), torch.randn(1, 2048, 7, 7)),
    "1280 @7, 16 examples": lambda: (nn.AdaptiveAvgPool2d(1), torch.randn(16, 1280, 7, 7)),
}
