"""Layer norms of transformers, behind a small layer: alone, torch keeps them."""

from __future__ import annotations

import torch
from torch import nn

from ..common import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "768, 128 tokens": lambda: (nn.Sequential(nn.Linear(16, 768), nn.LayerNorm(768)), torch.randn(1, 128, 16)),
    "1024, 197 tokens": lambda: (nn.Sequential(nn.Linear(16, 1024), nn.LayerNorm(1024)), torch.randn(1, 197, 16)),
}
