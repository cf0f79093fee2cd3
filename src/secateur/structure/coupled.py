"""What the structures have in common whose units reach over several layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.component import component, param
from ..core.coupling import Coupling
from .base import Grouped, pool

__all__ = ["Coupled"]


@component
class Coupled(Grouped, axis="structure"):
    """Base of the structures that remove whole units: with example inputs, over all layers that a unit reaches.

    A unit's weights in one place, its rows of a layer or its columns of the next, are its *member* there. Each member
    gets a score from its weights (``reduce``), the unit one from its members (``across``), and the units of a group are
    brought to one scale (``normalize``) before units of different groups compete.
    """

    reduce: str = param(default="mean", among=("mean", "sum", "max", "l2", "abs_sum"))
    members: str = param(default="producers", among=("producers", "consumers", "scales", "all"))
    across: str = param(default="mean", among=("mean", "sum", "max"))
    normalize: str = param(default="none", among=("none", "mean", "max", "l2"))
    round_to: int = param(default=1, ge=1)

    @property
    def couples(self) -> bool:
        """They do."""
        return True

    @abstractmethod
    def misfit_group(self, group: Coupling) -> str | None:
        """Why this structure does not remove the units of a group, or None when it does."""

    @property
    def speaks_of_groups(self) -> str:
        """The parameters given that mean something for coupled groups alone."""
        usual = {"members": type(self).members, "across": "mean", "normalize": "none", "round_to": 1}
        return ", ".join(f"{k}={getattr(self, k)!r}" for k, v in usual.items() if getattr(self, k) != v)

    def member(self, scores: Tensor, there: Tensor | None) -> Tensor:
        """One number a unit from the scores of its weights in one place.

        Args:
            scores: ``[units, weights of a unit there]``.
            there: for units of unequal size, False where a score only fills up.
        """
        return pool(scores, self.reduce, there)

    def combine(self, pooled: Sequence[Tensor]) -> Tensor:
        """One number a unit from those of its members."""
        stacked = torch.stack([p.to(pooled[0].device) for p in pooled], -1)
        return pool(stacked, self.across)

    def scaled(self, scores: Tensor, alive: Tensor) -> Tensor:
        """The scores of a group's units, brought to one scale with those of other groups."""
        left = scores[alive]
        if self.normalize == "none" or not left.numel():
            return scores
        by = left.norm() if self.normalize == "l2" else left.mean() if self.normalize == "mean" else left.max()
        return scores / by if by > 0 else scores

    def least(self, units: int) -> int:
        """How many of so many units always stay: a layer may not vanish."""
        return min(self.round_to, units)

    def rounded(self, kept: int, alive: int) -> int:
        """The nearest number of units that may be kept: a multiple of ``round_to`` or all that are left, never 0."""
        below = kept - kept % self.round_to
        fits = [n for n in (below, below + self.round_to) if self.round_to <= n < alive]
        return min([*fits, alive], key=lambda n: (abs(n - kept), -n))
