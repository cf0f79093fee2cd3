"""Memory that one run computes in."""

from __future__ import annotations

import mmap
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels.common import HEADER
from .plan import Layout

__all__ = ["Workspace"]

_PAGE = 2 << 20


class Workspace:
    """Buffers for some threads, zero at first but for the guards that a layout fills otherwise.

    Args:
        layout: whose buffers.
        threads: how many copies.
    """

    def __init__(self, layout: Layout, threads: int) -> None:
        self.stride = -(-layout.bytes // 4096) * 4096 + 4096
        size = self.stride * threads
        self._memory = mmap.mmap(-1, size + _PAGE)
        if hasattr(mmap, "MADV_HUGEPAGE") and size >= _PAGE:
            self._memory.madvise(mmap.MADV_HUGEPAGE)  # a plane a page would be one miss of the address cache a channel
        raw: NDArray[Any] = np.frombuffer(self._memory, np.uint8)
        start = -raw.ctypes.data % _PAGE if size >= _PAGE else -raw.ctypes.data % 64
        self._all = raw[start : start + size]
        self.address = self._all.ctypes.data
        for t in range(threads):
            floats = self._all[t * self.stride : (t + 1) * self.stride].view(np.float32)
            for begin, end, value in layout.fills:
                floats[begin:end] = value
        self._headers = [self._all[t * self.stride : t * self.stride + 8 * HEADER].data for t in range(threads)]
        self._slots = struct.Struct(f"={len(layout.slots)}q")

    def outside(self, addresses: list[int]) -> None:
        """Say where the tensors outside begin, by slot."""
        for header in self._headers:
            self._slots.pack_into(header, 8, *addresses)

    def hold(self, arrays: list[NDArray[np.float32]]) -> None:
        """Keep arrays as the tensors outside, as long as this workspace lives."""
        self._held = arrays
        self.outside([a.ctypes.data for a in arrays])

    @property
    def floats(self) -> NDArray[np.float32]:
        """The first thread's, to look into or to fill."""
        return self._all[: self.stride].view(np.float32)
