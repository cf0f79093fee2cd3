"""Which values share memory: buffers of one space are used again once nobody reads what is in them.

A buffer is only ever lent to values of the same space, order and filling, so that the guards around it and what lies behind the
tiles of its planes, which no kernel writes, hold that filling for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from .layout import Space

__all__ = ["Memory"]


@dataclass
class _Buffer:
    space: Space
    panels: bool
    fill: float
    channels: int
    free: bool = False
    start: int = 0


class Memory:
    """Buffers of a workspace.

    Args:
        header: bytes before the first.
    """

    def __init__(self, header: int) -> None:
        self._header = header
        self._buffers: list[_Buffer] = []

    def take(self, space: Space, panels: bool, channels: int, fill: float = 0.0) -> int:
        """A buffer for some channels: a free one, the largest, or a new one."""
        able = [i for i, b in enumerate(self._buffers) if b.free and (b.space, b.panels, b.fill) == (space, panels, fill)]
        if not able:
            self._buffers.append(_Buffer(space, panels, fill, channels))
            return len(self._buffers) - 1
        best = max(able, key=lambda i: self._buffers[i].channels)
        found = self._buffers[best]
        found.free, found.channels = False, max(found.channels, channels)
        return best

    def give(self, buffer: int) -> None:
        """What is in a buffer is needed no more."""
        self._buffers[buffer].free = True

    def start(self, buffer: int) -> int:
        """Bytes from the workspace's start to channel 0; after ``finish``."""
        return self._buffers[buffer].start

    def finish(self) -> tuple[int, list[tuple[int, int, float]]]:
        """Bytes in all, and the ranges of floats that hold something other than zero from the start."""
        at, fills = self._header, []
        for b in self._buffers:
            begin = at
            b.start = -(-(at + 4 * b.space.guard) // 64) * 64
            end = b.start + 4 * (b.channels * b.space.plane + b.space.guard)
            if b.fill:
                fills.append((begin // 4, end // 4, b.fill))
            at = -(-end // 64) * 64 + 64 * 5  # so that buffers do not all begin in the same cache set
        return at, fills
