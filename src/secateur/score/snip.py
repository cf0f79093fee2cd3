"""First-order saliency."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Snip"]


@component
class Snip(Score):
    """A weight matters as much as the loss would change, to first order, without it: S = |w · ∂L/∂w| = |∂L/∂c|.

    c = 1 is a gate on the weight, w ← c·w. The gradient is the mean over the batches given, in evaluation mode, and the
    absolute value is taken after the mean. The paper divides by the sum of all scores, which is cosmetic: no ranking changes.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> Snip()(torch.tensor([2.0, 3.0]), Statistics(name="w", gradient=torch.tensor([-1.0, 0.5])))
        tensor([2.0000, 1.5000])

    Source:
        Lee et al., *SNIP: Single-shot Network Pruning based on Connection Sensitivity*, 2019, arXiv:1810.02340; on trained
        networks the gradient baselines of Blalock et al., *What is the State of Neural Network Pruning?*, 2020,
        arXiv:2003.03033.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """|w · g|."""
        if statistics.gradient is None:
            raise DataError("score 'snip' needs gradients; pass Pruner(..., data=batches) or call loss.backward() before")
        return (weight * statistics.gradient).abs_()
