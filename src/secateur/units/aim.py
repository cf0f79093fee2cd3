"""A target that is found by measuring what choices would leave."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..core.errors import ModelError
from ..goal import Compression, Limit
from .base import Choice
from .meter import Meter

__all__ = ["Aim"]

Allocate = Callable[[float], dict[str, Tensor]]

_HALVINGS = {"latency": 8}
_CLOSE = {"latency": 0.02, "bytes": 0.001}  # near enough below the limit, where a trial is dear


class Aim:
    """Finds the least sparsity that meets a limit.

    Args:
        goal: the target.
        meter: what measures.
        most: the largest sparsity there is.

    Raises:
        ModelError: the limit cannot be met; the sentence says how much can.
    """

    def __init__(self, goal: Limit | Compression, meter: Meter, most: float = 1.0) -> None:
        self.goal, self._meter, self._most = goal, meter, most
        self._quantity = "params" if isinstance(goal, Compression) else goal.quantity
        self._dense = self._left(meter.units.everything())
        self._limit = goal.limit(self._dense)
        least = self._left(meter.units.least())
        if least > self._limit:
            unit = "parameters" if isinstance(goal, Compression) else goal.unit
            left, dense, asked = (
                f"{x:,.3f}" if unit == "milliseconds" else f"{x:,.0f}" for x in (least, self._dense, self._limit)
            )
            raise ModelError(
                f"{goal} cannot be reached: the most that can go leaves {left} of {dense} {unit} ({least / self._dense:.2%}), "
                f"and the target is {asked}; ask for more, or let more be pruned (include=..., fewer exclude, a smaller round_to)"
            )

    def _left(self, keep: Choice) -> float:
        return self._meter.measure(self._quantity, keep, getattr(self.goal, "device", "cpu"))

    def choose(self, allocate: Allocate, share: float = 1.0) -> dict[str, Tensor]:
        """The choice of the least sparsity that leaves at most d − share·(d − L).

        Args:
            allocate: the choice of a sparsity; what it removes grows with it.
            share: how far along the schedule is, in [0, 1].
        """
        limit = self._limit + (1 - share) * (self._dense - self._limit)
        best = allocate(0.0)
        if self._left(best) <= limit:
            return best
        low, high, without = 0.0, self._most, _kept(best)
        best = allocate(high)
        for _ in range(_HALVINGS.get(self._quantity, 50)):
            if without - _kept(best) <= 1:
                break
            middle = (low + high) / 2
            keep = allocate(middle)
            left = self._left(keep)
            if left <= limit:
                high, best = middle, keep
                if left >= limit * (1 - _CLOSE.get(self._quantity, 0.0)):
                    break
            else:
                low, without = middle, _kept(keep)
        return best


def _kept(keep: Choice) -> int:
    return sum(int(k.sum()) for k in keep.values())
