"""Rounds of prune and retrain."""

from __future__ import annotations

import dataclasses as dc
from typing import ClassVar

from typing_extensions import Self

from ..core.component import component, param
from .base import Schedule

__all__ = ["Iterative"]


@component
class Iterative(Schedule):
    """Remove the same fraction of the survivors in each round: s_r = 1 − (1 − rate)^r.

    With ``even`` steps it is the same fraction of what there was at first: s_r = r/rounds · s_rounds.

    Args:
        rounds: number of rounds.
        rate: fraction of the survivors that goes in a round.
        even: steps of equal size, to the same end.

    Example:
        >>> [round(Iterative(rounds=3, rate=0.2).at_round(r), 3) for r in (1, 2, 3)]
        [0.2, 0.36, 0.488]
        >>> round(Iterative(rounds=5).at(0.9).rate, 4)
        0.369

    Source:
        Frankle & Carbin, *The Lottery Ticket Hypothesis*, 2019, arXiv:1803.03635.
    """

    counts: ClassVar[frozenset[str]] = frozenset({"rounds"})
    rounds: int = param(default=5, ge=1)
    rate: float = param(default=0.2, ge=0, lt=1)
    even: bool = False

    @property
    def final(self) -> float:
        """1 − (1 − rate)^rounds."""
        return 1 - (1 - self.rate) ** self.rounds

    def at(self, sparsity: float) -> Self:
        """As many rounds, at the rate that ends at this sparsity."""
        return dc.replace(self, rate=1 - (1 - sparsity) ** (1 / self.rounds))

    def at_round(self, r: int) -> float | None:
        """1 − (1 − rate)^r, or r/rounds of the last."""
        if not 1 <= r <= self.rounds:
            return None
        return self.final * r / self.rounds if self.even else 1 - (1 - self.rate) ** r
