"""The model the checks prune: small, and with everything that matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["small_batches", "small_model"]


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
