"""Where pixels lie: padded planes over one flat index, cut into tiles of T vectors, in order or tile by tile.

Images that a stride-1 layer connects share a *space*: a pitch ``P`` (floats from one row of pixels to the next) and a plane of
``S`` floats. Pixel ``(r, c)`` has the flat index ``r·P + c``, so that a tap of a convolution is one number, ``dr·P + dc``. The
gap between two rows is at once the right padding of one and the left padding of the next, and the rows below a plane are the
padding above the next plane. Tiles cover the pixels; the rest of a plane is zero from the start and nobody writes it.

A value in *planes* is ``[channel][S]``; in *panels* it is ``[tile][channel][T vectors]``, whose tiles are read from one end to
the other. Both are the same numbers in a job: bytes from tile to tile, bytes from channel to channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .graph import Form
from .target import Target

__all__ = ["Need", "Place", "Space", "make_space"]

_LEAST = 4  # vectors of a thread's own tile


@dataclass(frozen=True)
class Need:
    """Zeros that somebody reads around an image.

    Attributes:
        above: rows.
        below: rows.
        left: columns.
        right: columns.
    """

    above: int = 0
    below: int = 0
    left: int = 0
    right: int = 0

    def __or__(self, other: Need) -> Need:
        a, b = (self.above, self.below, self.left, self.right), (other.above, other.below, other.left, other.right)
        return Need(*map(max, a, b))


@dataclass(frozen=True)
class Space:
    """A flat index that several images share.

    Attributes:
        pitch: floats from row to row.
        vectors: T, of a tile.
        tiles: that cover all pixels; what lies behind them in a plane is padding.
        width: lanes of a vector.
        plane: floats from plane to plane.
        guard: floats that are read before the first and after the last plane.
    """

    pitch: int
    vectors: int
    tiles: int
    width: int
    plane: int
    guard: int

    @property
    def tile(self) -> int:
        """Floats of a tile."""
        return self.vectors * self.width

    def mask(self, height: int, width: int) -> NDArray[np.int32]:
        """-1 where a pixel is, 0 in the padding, ``[tiles · tile]``."""
        flat = np.arange(self.tiles * self.tile)
        inside = (flat // self.pitch < height) & (flat % self.pitch < width)
        return np.where(inside, -1, 0).astype(np.int32)


@dataclass(frozen=True)
class Place:
    """Where one value lies.

    Attributes:
        space: its flat index.
        form: its sizes.
        panels: tile by tile; otherwise plane by plane.
        start: bytes from the workspace's start to channel 0, pixel 0.
    """

    space: Space
    form: Form
    panels: bool
    start: int

    @property
    def tile_step(self) -> int:
        """Bytes from tile to tile."""
        return 4 * self.space.tile * (self.form.channels if self.panels else 1)

    @property
    def row_step(self) -> int:
        """Bytes from channel to channel."""
        return 4 * (self.space.tile if self.panels else self.space.plane)


def make_space(members: Iterable[tuple[Form, Need]], target: Target, reach: int = 0, threads: int = 1) -> Space:
    """The space in which all members have the padding they need.

    Args:
        members: sizes and padding of each image.
        target: the CPU.
        reach: rows that a tap goes up or down at most, padding or not.
        threads: that are to have tiles of their own, if there are vectors enough.
    """
    known = list(members)
    pitch = max(f.width + max(n.left, n.right) for f, n in known)
    floats = max((f.height - 1) * pitch + f.width + max(n.below * pitch + n.right, n.above * pitch + n.left) for f, n in known)
    vectors = max(-(-((f.height - 1) * pitch + f.width) // target.width) for f, _ in known)
    length = _tile(vectors, target)
    if -(-vectors // length) < threads and vectors >= _LEAST * threads:
        length = -(-vectors // threads)
    tiles = -(-vectors // length)
    plane = max(tiles * length, -(-floats // target.width))
    while plane * target.width * 4 > 2048 and math.gcd(plane * target.width * 4 // 64, 64) > 2:
        plane += 1  # else the planes meet in few sets of the cache
    guard = (reach + 1) * pitch + 64
    return Space(pitch, length, tiles, target.width, plane * target.width, -(-guard // 16) * 16)


def _tile(vectors: int, target: Target) -> int:
    """Vectors of a tile: as many sums as registers hold, with few vectors left over; a number that small parts divide."""
    lengths = {8: (12, 10, 9, 8), 16: (12, 10, 9, 8, 7)}.get(target.width, (24, 20, 16, 12))
    if vectors <= lengths[-1]:
        return vectors
    return min(lengths, key=lambda n: (-(-vectors // n) * n * (1 + 0.004 * (lengths[0] - n)), -n))
