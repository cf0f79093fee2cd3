"""One threshold for all."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..core.component import Component, component
from ..core.layers import Layer
from .base import Allocation

__all__ = ["Threshold"]


@component
class Threshold(Allocation):
    """What scores above a number stays; how much that is follows from the scores, and the schedule only says when.

    For scores with a natural zero or limit, as learned ones have: log α < 3 is ``Threshold(at=-3)`` of
    ``VariationalDropout``, and a gate that is not shut ``Threshold(at=0)`` of ``HardConcrete``.

    Args:
        at: what a score must exceed.

    Example:
        >>> import torch
        >>> scores = torch.tensor([0.2, -1.0, 0.0])
        >>> fc = Layer(name="fc", weight=scores, mask=None, score=lambda: scores, units=3, cost=1)
        >>> Threshold(at=0)([fc], 0.5, 0.5)["fc"]
        tensor([ True, False, False])

    Source:
        Molchanov, Ashukha & Vetrov, *Variational Dropout Sparsifies Deep Neural Networks*, 2017, arXiv:1701.05369, §4.
    """

    at: float = 0.0

    @property
    def fixed(self) -> bool:
        """Always."""
        return True

    def conflict(self, other: Component) -> str | None:
        """A ramp has nothing to say about a fixed threshold."""
        if other.axis == "schedule" and "rounds" not in other.counts:  # type: ignore[attr-defined]
            return "its threshold is fixed, so there is no sparsity to ramp up"
        return None

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Compare."""
        return {x.name: x.score() > self.at for x in layers}
