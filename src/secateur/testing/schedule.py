"""What holds of every schedule."""

from __future__ import annotations

import math

from ..schedule import Schedule
from .claim import claim, instance
from .component import check_component

__all__ = ["check_schedule"]


def check_schedule(given: type[Schedule] | Schedule, *, steps: int = 20_000, rounds: int = 1_000) -> None:
    """Never downwards, and exactly at ``final`` in the end; ``at`` moves that end and nothing else.

    Args:
        given: the schedule, or its class.
        steps: optimizer steps within which it ends.
        rounds: rounds within which it ends.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.schedule import Iterative
        >>> check_schedule(Iterative(rounds=3, rate=0.5))
    """
    schedule = instance(given, Schedule)
    check_component(schedule)
    kinds = schedule.counts
    claim(kinds and kinds <= {"steps", "rounds"}, schedule, f"counts {set(kinds)}; a schedule counts 'steps', 'rounds' or both")
    claim(0 <= schedule.final < 1, schedule, f"ends at {schedule.final}; a sparsity is ≥ 0 and < 1")
    for target in (0.3, 0.75, schedule.final):
        moved = schedule.at(target)
        claim(type(moved) is type(schedule), schedule, f"becomes a {type(moved).__name__} with at({target})")
        claim(math.isclose(moved.final, target, abs_tol=1e-12), schedule, f"ends at {moved.final!r} after at({target!r})")
        _check_counts(moved, steps, rounds)
    _check_counts(schedule, steps, rounds)


def _check_counts(schedule: Schedule, steps: int, rounds: int) -> None:
    by_step = [s for t in range(steps + 1) if (s := schedule.at_step(t)) is not None]
    by_round = [s for r in range(rounds + 1) if (s := schedule.at_round(r)) is not None]
    for kind, values in (("steps", by_step), ("rounds", by_round)):
        if kind not in schedule.counts:
            claim(not values, schedule, f"does not count {kind}, and has a sparsity for some")
            continue
        claim(values, schedule, f"counts {kind} and has no event in {len(values)} of them")
        claim(values == sorted(values) and values[0] >= 0, schedule, f"goes down over its {kind}: {values}")
        claim(
            values[-1] == schedule.final,
            schedule,
            f"ends its {kind} at {values[-1]!r}, and not at {schedule.final!r}",
        )
    passes = schedule.passes(0.0, schedule.final)
    claim(passes[-1] == schedule.final, schedule, f"ends the passes of an event at {passes[-1]!r}, and not at what was wanted")
    claim(list(passes) == sorted(passes) and passes[0] >= 0, schedule, f"goes down over the passes of an event: {passes}")
    claim(schedule.at_round(0) is None, schedule, "has a sparsity for round 0, which is the dense one")
    if "rounds" in schedule.counts:
        gaps = [schedule.at_round(r) is None for r in range(1, len(by_round) + 1)]
        claim(not any(gaps), schedule, "leaves out a round before its last")
