"""The survivors keep their values, and the learning rate goes back."""

from __future__ import annotations

from ..core.component import component, param
from .base import Restart

__all__ = ["RewindLearningRate"]


@component
class RewindLearningRate(Restart):
    """The survivors keep their final values, and the learning-rate schedule is replayed from step k to the end.

    With T steps in all, the last T − k are trained again under the rates they had, warm-up included where it lies after k.
    The optimizer starts anew, and so does the data order of each round.

    Args:
        to: k, optimizer steps; 0 replays the whole schedule.

    Example:
        >>> RewindLearningRate(to=500).resume_at, RewindLearningRate(to=500).snapshot_at
        (500, None)

    Source:
        Renda, Frankle & Carbin, *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, 2020, arXiv:2003.02389.
    """

    to: int = param(default=0, ge=0)

    @property
    def resume_at(self) -> int:
        """Step k."""
        return self.to
