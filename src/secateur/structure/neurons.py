"""Neurons of linear layers."""

from __future__ import annotations

from ..core.component import component
from ..core.coupling import Coupling
from ..core.layers import Target
from .filters import Filters

__all__ = ["Neurons"]


@component
class Neurons(Filters):
    """Hidden units of linear layers: a neuron's row with its bias, and with example inputs the columns that read it.

    In a gated block the two rows that are multiplied are one neuron. Convolutions, attention heads and what is inside
    them stay dense.

    Args:
        reduce: how a neuron's weights make its score: ``mean``, ``sum``, ``max``, ``l2``, or ``abs_sum`` (of scores
            with signs).
        members: what a coupled unit is scored on: ``producers``, ``consumers``, ``scales`` or ``all``; see ``Filters``.
        across: how the scores of several members make the unit's: ``mean``, ``sum`` or ``max``.
        normalize: what a group's scores are divided by before groups compete: ``none``, or their ``mean``, ``max``, ``l2``.
        round_to: kept neurons of a coupled group are a multiple of this, where any go.

    Example:
        >>> import torch
        >>> Neurons(reduce="l2").units(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), None)
        tensor([5., 1.])

    Source:
        Mozer & Smolensky, *Skeletonization: A Technique for Trimming the Fat from a Network via Relevance Assessment*, 1988.
    """

    def misfit(self, target: Target) -> str | None:
        """Only linear layers have neurons."""
        return "its outputs are channels: use Filters()" if target.kernel else None

    def misfit_group(self, group: Coupling) -> str | None:
        """Only what linear layers alone make, but heads."""
        if group.heads:
            return "its units are heads: use Heads()"
        return "its units are channels: use Filters()" if "kernel" in group.kinds else None
