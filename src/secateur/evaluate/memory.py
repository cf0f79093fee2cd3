"""The most memory something took: of this process, or of the accelerator's allocator."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import torch

__all__ = ["Peak", "PeakMemory"]

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Peak(NamedTuple):
    """Bytes at the most, and how they were read.

    Args:
        bytes: the high-water mark.
        how: what it is the mark of.
    """

    bytes: int
    how: str


class PeakMemory:
    """The high-water mark from here on.

    On a CPU it is the resident set of the whole process, Python and torch themselves included; Linux lets it be reset, so
    that runs in one process do not inherit each other's. On an accelerator it is what torch's allocator held.

    Example:
        >>> peak = PeakMemory()
        >>> peak.read().bytes > 1_000_000
        True
    """

    def __init__(self) -> None:
        self.reset = False
        try:
            CLEAR.write_text("5", encoding="ascii")
            self.reset = True
        except OSError:  # not Linux, or a sandbox that forbids it
            pass
        if _on_accelerator():
            torch.cuda.reset_peak_memory_stats()

    def read(self) -> Peak | None:
        """The mark so far; None where the system does not tell."""
        if _on_accelerator() and torch.cuda.max_memory_allocated():
            return Peak(torch.cuda.max_memory_allocated(), "accelerator, torch's allocator")
        if self.reset:
            lines = STATUS.read_text(encoding="ascii").splitlines()
            kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
            if kilobytes is not None:
                return Peak(1024 * kilobytes, "process, resident set")
        try:
            import resource
        except ImportError:  # Windows
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return Peak(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "process, resident set since it started")


def _on_accelerator() -> bool:
    """Whether this process has used one; asking must not be the first use."""
    return bool(torch.cuda.is_available() and torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
