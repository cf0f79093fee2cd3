"""Training goes on."""

from __future__ import annotations

from ..core.component import component
from .base import Inherit

__all__ = ["KeepTraining"]


@component
class KeepTraining(Inherit):
    """The survivors keep their values and the training that is under way goes on, under the same schedule.

    Args:
        recalibrate: training examples over which batch norms take their statistics anew after each pruning: for a network
            that is pruned and not trained on; 0 leaves them. They are taken from the pruner's ``data``, in whole batches.

    Example:
        >>> KeepTraining().to_dict(minimal=True)
        {'name': 'keep_training'}

    Source:
        Zhu & Gupta, *To prune, or not to prune*, 2017, arXiv:1710.01878.
    """
