"""The Pareto front: what nothing else beats in both directions at once."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["front"]


def front(values: Sequence[tuple[float, float] | None], *, x_up: bool = True, y_up: bool = True) -> set[int]:
    """The places of the pairs that no other pair dominates (at least as good in both, better in one).

    Args:
        values: pairs (x, y); None is on no front.
        x_up: whether a higher x is better.
        y_up: whether a higher y is better.

    Example:
        >>> sorted(front([(2, 0.9), (4, 0.95), (8, 0.8), None, (4, 0.95)]))
        [1, 2, 4]
    """
    there = [(v[0] if x_up else -v[0], v[1] if y_up else -v[1], i) for i, v in enumerate(values) if v is not None]
    best, out, last = float("-inf"), set[int](), None
    for x, y, i in sorted(there, key=lambda v: (-v[0], -v[1])):
        if y > best or (x, y) == last:
            best, last = max(best, y), (x, y)
            out.add(i)
    return out
