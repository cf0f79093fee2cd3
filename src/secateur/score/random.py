"""No information at all: the control every score must beat."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ..core.component import component, param
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Random"]


@component
class Random(Score):
    """S ~ U(0, 1), drawn anew at each pruning event from the seed and the parameter's name, alike on every device and rank.

    Args:
        seed: the draw's seed.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> w, fc = torch.zeros(2), Statistics(name="fc")
        >>> bool((Random(seed=1)(w, fc) == Random(seed=1)(w, fc)).all())
        True

    Source:
        the random control of Blalock et al., *What is the State of Neural Network Pruning?*, 2020, arXiv:2003.03033.
    """

    seed: int = param(default=0, ge=0)

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """Uniform numbers, of the weight's shape."""
        key = f"{self.seed}/{statistics.event}/{statistics.name}".encode()
        generator = torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:7], "big"))
        return torch.rand(weight.shape, generator=generator).to(weight.device)
