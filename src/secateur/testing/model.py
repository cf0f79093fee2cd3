"""The model the checks prune: small, and with everything that matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SmallAttention", "small_batches", "small_model"]


def small_model(seed: int = 0) -> nn.Sequential:
    """Two convolutions with batch norm, a linear layer and a classifier: 1 696 prunable weights, which every structure fits.

    Args:
        seed: seed of the weights (the global generator is left as it was).

    Example:
        >>> small_model()(torch.zeros(2, 4, 8, 8)).shape
        torch.Size([2, 4])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4),
        )  # fmt: skip


class SmallAttention(nn.Module):
    """Attention with a gated block for the inputs of ``small_model``: six heads, sixteen hidden units.

    Args:
        seed: seed of the weights (the global generator is left as it was).
        heads: heads of four dimensions each.

    Example:
        >>> SmallAttention()(torch.zeros(2, 4, 8, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(self, seed: int = 0, heads: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.heads, self.width = heads, 4
            self.embed, self.qkv, self.proj = nn.Linear(32, 16), nn.Linear(16, 3 * 4 * heads), nn.Linear(4 * heads, 16)
            self.gate, self.up, self.down = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
            self.norm, self.classify = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Eight rows of an image are the tokens."""
        x = self.embed(images.transpose(1, 2).flatten(2))
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, self.width)).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.down(nn.functional.silu(self.gate(x)) * self.up(x))
        scores: Tensor = self.classify(x.mean(1))
        return scores


def small_batches(count: int = 2, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Random (images, labels) for ``small_model``.

    Args:
        count: batches.
        seed: seed of the draw.

    Example:
        >>> [(x.shape, y.shape) for x, y in small_batches(count=1)]
        [(torch.Size([8, 4, 8, 8]), torch.Size([8]))]
    """
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(8, 4, 8, 8, generator=g), torch.randint(4, (8,), generator=g)) for _ in range(count)]
