"""Attention of an encoder, its heads split off and joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..common import Case

__all__ = ["CASES"]


class _Attention(nn.Module):
    mask: Tensor | None

    def __init__(self, heads: int, depth: int, causal: bool = False, mask: Tensor | None = None) -> None:
        super().__init__()
        self.heads, self.depth, self.causal = heads, depth, causal
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Queries, keys and values lie one after the other."""
        b, t, _ = x.shape
        q, k, v = (p.view(b, t, self.heads, self.depth).transpose(1, 2) for p in x.chunk(3, 2))
        return F.scaled_dot_product_attention(q, k, v, self.mask, is_causal=self.causal).transpose(1, 2).reshape(b, t, -1)


CASES: dict[str, Case] = {
    "12 heads of 64, 128 tokens": lambda: (_Attention(12, 64), torch.randn(1, 128, 3 * 768)),
    "12 heads of 64, 128 tokens, causal": lambda: (_Attention(12, 64, causal=True), torch.randn(1, 128, 3 * 768)),
    "12 heads of 64, 128 tokens, masked": lambda: (_Attention(12, 64, mask=torch.randn(128, 128)), torch.randn(1, 128, 3 * 768)),
    "6 heads of 64, 197 tokens": lambda: (_Attention(6, 64), torch.randn(1, 197, 3 * 384)),
}
