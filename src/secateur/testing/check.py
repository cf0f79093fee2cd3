"""One call for a choice on any axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.component import Component
from .allocation import check_allocation
from .claim import instance
from .recovery import check_recovery
from .schedule import check_schedule
from .score import check_score
from .structure import check_structure

__all__ = ["check"]

_BY_AXIS: dict[str, Callable[..., None]] = {
    "structure": check_structure, "score": check_score, "allocation": check_allocation, "schedule": check_schedule,
    "recovery": check_recovery,
}  # fmt: skip


def check(given: type[Component] | Component, **options: Any) -> None:
    """Whether a score, structure, allocation, schedule or recovery of your own keeps its contract.

    Args:
        given: the choice, or its class when its defaults make one.
        options: what the check of its axis takes.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.score import Magnitude
        >>> check(Magnitude)
    """
    component = instance(given, Component)
    _BY_AXIS[component.axis](component, **options)
