"""All at once."""

from __future__ import annotations

import dataclasses as dc
from typing import ClassVar

from typing_extensions import Self

from ..core.component import component, param
from .base import Schedule

__all__ = ["OneShot"]


@component
class OneShot(Schedule):
    """Prune once, to the final sparsity.

    Args:
        sparsity: fraction removed.
        at_training_step: in a loop that calls ``pruner.step()``, the number of optimizer steps after which to prune.

    Example:
        >>> OneShot(sparsity=0.9).at_round(1), OneShot(sparsity=0.9).at_round(2)
        (0.9, None)
    """

    counts: ClassVar[frozenset[str]] = frozenset({"steps", "rounds"})
    sparsity: float = param(default=0.5, ge=0, lt=1)
    at_training_step: int = param(default=0, ge=0)

    @property
    def final(self) -> float:
        """The sparsity itself."""
        return self.sparsity

    @property
    def last_step(self) -> int:
        """The step it waits for."""
        return self.at_training_step

    def at(self, sparsity: float) -> Self:
        """One shot to another sparsity."""
        return dc.replace(self, sparsity=sparsity)

    def at_step(self, t: int) -> float | None:
        """The sparsity at its step."""
        return self.sparsity if t == self.at_training_step else None

    def at_round(self, r: int) -> float | None:
        """The sparsity in round 1."""
        return self.sparsity if r == 1 else None
