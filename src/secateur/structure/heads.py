"""Whole attention heads."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from ..core.coupling import Coupling
from ..core.errors import ModelError
from ..core.layers import Target
from .coupled import Coupled

__all__ = ["Heads"]

_ALONE = "heads reach over several layers: pass Pruner(model, recipe, example_inputs=...)"


@component
class Heads(Coupled):
    """Attention heads: the rows of queries, keys and values that make one, with the columns that read it.

    Where several query heads share a key and value head, they go with it: that is one unit. Needs example inputs, which
    tell where the heads are.

    Args:
        reduce: how a head's weights in one place make its score: ``mean``, ``sum``, ``max``, ``l2``, or ``abs_sum`` (of scores
            with signs).
        members: what a head is scored on: ``producers`` (query, key and value rows), ``consumers`` (the columns of the
            output layer), ``scales`` or ``all``.
        across: how the scores of several members make the head's: ``mean``, ``sum`` or ``max``.
        normalize: what a layer's scores are divided by before layers compete: ``none``, or their ``mean``, ``max``, ``l2``.
        round_to: kept heads of a layer are a multiple of this, where any go.

    Example:
        >>> Heads(members="consumers", normalize="l2").to_dict(minimal=True)
        {'name': 'heads', 'members': 'consumers', 'normalize': 'l2'}

    Source:
        Michel et al., *Are Sixteen Heads Really Better than One?*, 2019, arXiv:1905.10650.
    """

    alone: ClassVar[bool] = False

    def misfit(self, target: Target) -> str | None:
        """No layer by itself has heads."""
        return _ALONE

    def misfit_group(self, group: Coupling) -> str | None:
        """Only heads."""
        return None if group.heads else "its units are no heads"

    def groups(self, values: Tensor) -> Tensor:
        """There are none in a layer by itself."""
        raise ModelError(_ALONE)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """There are none in a layer by itself."""
        raise ModelError(_ALONE)
