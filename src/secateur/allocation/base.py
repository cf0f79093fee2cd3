"""The third axis: how much goes from which layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from ..core.component import Component
from ..core.layers import Layer

__all__ = ["Allocation"]


class Allocation(Component, axis="allocation"):
    """Turns the units' scores and one sparsity for the whole into the units each layer keeps."""

    @property
    def fixed(self) -> bool:
        """Whether it sets each layer's sparsity itself, so that a target for the whole model cannot move it."""
        return False

    @property
    def looks_ahead(self) -> bool:
        """Whether what it keeps at an event depends on the sparsity the schedule ends at."""
        return False

    def check(self, names: Sequence[str]) -> None:
        """Refuse a model whose layers (by name) do not fit, before any work is done."""
        return

    @abstractmethod
    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """For every layer by name, one boolean a unit: True stays.

        Args:
            layers: the layers with their scores.
            sparsity: fraction of the layers' parameters to have removed after this event.
            final: the sparsity the schedule ends at.
        """
