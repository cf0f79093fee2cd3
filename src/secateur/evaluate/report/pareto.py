"""The Pareto front: what nothing else beats in both directions at once."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["front"]


def front(values: Sequence[tuple[float, float] | None], *, x_up: bool = True, y_up: bool = True, slack: float = 0.01) -> set[int]:
    """The places of the pairs that no other pair dominates: at least as good in both, and better in one.

    Args:
        values: pairs (x, y), x above 0; None is on no front.
        x_up: whether a higher x is better.
        y_up: whether a higher y is better.
        slack: x that differ by less than this share count as equal: 16.01× is no further than 15.99×.

    Example:
        >>> sorted(front([(2, 0.9), (4, 0.95), (8, 0.8), None, (4, 0.95), (4.01, 0.9)]))
        [1, 2, 4]
    """
    there = [(v[0] if x_up else 1 / v[0], v[1] if y_up else -v[1], i) for i, v in enumerate(values) if v is not None]
    wide = 1 + slack

    def dominated(x: float, y: float) -> bool:
        return any(b >= y and a * wide >= x and (b > y or a > x * wide) for a, b, _ in there)

    return {i for x, y, i in there if not dominated(x, y)}
