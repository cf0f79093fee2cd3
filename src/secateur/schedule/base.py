"""The fourth axis: when."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from typing_extensions import Self

from ..core.component import Component

__all__ = ["Schedule"]


class Schedule(Component, axis="schedule"):
    """The sparsity to have reached after so many training steps, or after so many rounds of prune and retrain."""

    counts: ClassVar[frozenset[str]]
    """What it counts: ``"steps"`` (pruning while training), ``"rounds"`` (training between prunings), or both."""

    @property
    @abstractmethod
    def final(self) -> float:
        """The sparsity it ends at."""

    @property
    def last_step(self) -> int:
        """The step of the last pruning, where steps are counted."""
        return 0

    @abstractmethod
    def at(self, sparsity: float) -> Self:
        """The same schedule, ending at another sparsity."""

    def passes(self, now: float, sparsity: float) -> tuple[float, ...]:
        """The sparsities that one pruning event goes through, with scores taken anew at each; the last is the one wanted.

        Args:
            now: the sparsity before the event.
            sparsity: the sparsity wanted.
        """
        return (sparsity,)

    def at_step(self, t: int) -> float | None:
        """The sparsity to prune to after t optimizer steps, or None when nothing happens then."""
        return None

    def at_round(self, r: int) -> float | None:
        """The sparsity to prune to in round r = 1, 2, …, or None when there is no such round."""
        return None
