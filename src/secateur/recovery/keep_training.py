"""Training goes on."""

from __future__ import annotations

from ..core.component import component
from .base import Recovery

__all__ = ["KeepTraining"]


@component
class KeepTraining(Recovery):
    """The survivors keep their values and the training that is under way goes on, under the same schedule.

    Example:
        >>> KeepTraining().to_dict()
        {'name': 'keep_training'}

    Source:
        Zhu & Gupta, *To prune, or not to prune*, 2017, arXiv:1710.01878.
    """
