"""What a run's training cost: steps, the most memory, and the machine's own count of joules where it has one."""

from __future__ import annotations

import time
from typing import Any

import torch

from ..evaluate.counters import find_counter
from ..evaluate.memory import PeakMemory

__all__ = ["Cost"]

_EVERY = 60.0  # seconds; a processor's counter starts again from 0 after about an hour under load


class Cost:
    """The cost of one run from here on; what earlier processes spent on it comes in with ``restore``."""

    def __init__(self) -> None:
        self.steps, self.joules, self.whole = 0, 0.0, True
        self.peak: dict[str, Any] | None = None
        self.memory, self.counter = PeakMemory(), find_counter("cuda" if torch.cuda.is_available() else "cpu")
        self.read_at = time.monotonic()

    def poll(self) -> None:
        """Read the counter if that is due; called after every step."""
        if self.counter is not None and time.monotonic() - self.read_at > _EVERY:
            self.counter.read()
            self.read_at = time.monotonic()

    def state(self, steps: int = 0) -> dict[str, Any]:
        """What a checkpoint keeps.

        Args:
            steps: of the stage under way.
        """
        now, peak = self.memory.read(), self.peak
        if now is not None and (peak is None or now.bytes > peak["peak_bytes"]):
            peak = {"peak_bytes": now.bytes, "how": now.how}
        joules = None if self.counter is None else self.joules + self.counter.read()
        how = None if self.counter is None else self.counter.how
        return {"steps": self.steps + steps if self.whole else None, "joules": joules, "how": how, "memory": peak}

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from what ``state`` said; what an earlier process did not count makes the whole unknown."""
        before = state or {"steps": None, "joules": None, "how": None, "memory": None}
        if self.counter is None or before["how"] != self.counter.how:
            self.counter = None
        self.whole = before["steps"] is not None
        self.steps, self.joules, self.peak = before["steps"] or 0, before["joules"] or 0.0, before["memory"]
