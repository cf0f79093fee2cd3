"""Which entries of a tensor are listed in the file: the layouts.

An entry that is not zero is always listed; a layout may list zeros too (fillers). Each turns the listed places into symbols,
which a coder writes; entries are counted in row-major order, and a matrix is the tensor with all dimensions but the first as
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

from .wire import Reader, varint

__all__ = ["LAYOUTS", "Listed", "Packed", "Positions", "count_places", "matrix", "put"]

_PIECE = 1 << 20  # entries at once


@dataclass(frozen=True)
class Listed:
    """The places of a tensor that are listed, as symbols.

    Attributes:
        parameters: what the reader needs beside the shape, as bytes.
        symbols: numbers below ``alphabet``.
        alphabet: how many symbols there are; at most 256.
        places: where the entries are: a mask, whole numbers, or everything.
    """

    parameters: bytes
    symbols: Any
    alphabet: int
    places: Any


@dataclass(frozen=True)
class Positions:
    """One layout.

    Attributes:
        encode: from the flat mask of what is not zero, the shape, and the options of this layout; None when it does not fit.
        expect: from the reader, the shape and the number of entries: the number of symbols, their alphabet, and options.
        decode: from symbols, shape and options, the places; ValueError when they are beyond the tensor.
    """

    encode: Callable[..., Listed | None]
    expect: Callable[[Reader, tuple[int, ...], int], tuple[int, int, tuple[int, ...]]]
    decode: Callable[[Any, tuple[int, ...], int, tuple[int, ...]], Any]


def matrix(shape: tuple[int, ...], n: int) -> tuple[int, int]:
    """Rows and columns of a tensor of ``n`` entries as a matrix.

    Example:
        >>> matrix((20, 1, 5, 5), 500), matrix((10,), 10)
        ((20, 25), (1, 10))
    """
    rows = shape[0] if len(shape) > 1 and n else 1
    return rows, n // rows


def _everything(mask: Any, shape: tuple[int, ...]) -> Listed:
    return Listed(b"", np.zeros(0, dtype=np.uint8), 1, slice(None))


def _bits(mask: Any, shape: tuple[int, ...]) -> Listed:
    return Listed(b"", np.packbits(mask, bitorder="little"), 256, mask)


class Packed:
    """The places of a bitmask, unpacked piece by piece: a mask of large tensors would count in memory."""

    def __init__(self, bits: Any, n: int) -> None:
        self._bits, self._n, self.nbytes = bits, n, bits.nbytes

    def pieces(self) -> Iterator[tuple[slice, Any]]:
        """Parts of the tensor, and their masks."""
        for i in range(0, self._n, _PIECE):
            m = min(_PIECE, self._n - i)
            bits = np.unpackbits(self._bits[i // 8 : (i + m + 7) // 8], count=m, bitorder="little")
            yield slice(i, i + m), bits.view(np.bool_)


def count_places(places: Any) -> int:
    """How many entries places are."""
    if isinstance(places, Packed):
        return sum(int(np.count_nonzero(mask)) for _, mask in places.pieces())
    return int(np.count_nonzero(places)) if places.dtype == np.bool_ else len(places)


def put(flat: Any, places: Any, entries: Any) -> None:
    """Set the entries at these places."""
    if not isinstance(places, Packed):
        flat[places] = entries
        return
    at = 0
    for part, mask in places.pieces():
        size = int(np.count_nonzero(mask))
        flat[part][mask] = entries[at : at + size]
        at += size


def _packed(symbols: Any, shape: tuple[int, ...], n: int, options: tuple[int, ...]) -> Any:
    if n % 8 and int(symbols[-1]) >> n % 8:
        raise ValueError("a bit is set beyond the last entry")
    return Packed(symbols, n)


def _mask(symbols: Any, shape: tuple[int, ...], n: int, options: tuple[int, ...]) -> Any:
    if n % 8 and int(symbols[-1]) >> n % 8:
        raise ValueError("a bit is set beyond the last entry")
    return np.unpackbits(symbols.astype(np.uint8, copy=False), count=n, bitorder="little").view(np.bool_)


def _gaps(mask: Any, shape: tuple[int, ...], bits: int = 5) -> Listed:
    """Distances between listed entries, 1…2^b as 0…2^b − 1; where one is longer, a zero is listed after 2^b steps."""
    longest = 1 << bits
    at = np.flatnonzero(mask)
    gaps = np.diff(at, prepend=-1)
    fillers = (gaps - 1) >> bits
    symbols = np.full(len(at) + int(fillers.sum()), longest - 1, dtype=np.uint8)
    ends = np.cumsum(fillers + 1) - 1
    symbols[ends] = gaps - 1 - (fillers << bits)
    places = at if len(symbols) == len(at) else np.cumsum(symbols.astype(np.int64) + 1) - 1
    return Listed(bytes([bits]) + varint(len(symbols)), symbols, longest, places)


def _expect_gaps(reader: Reader, shape: tuple[int, ...], n: int) -> tuple[int, int, tuple[int, ...]]:
    bits = reader.byte()
    if not 1 <= bits <= 8:
        raise ValueError(f"gaps have 1 to 8 bits; got {bits}")
    return reader.varint(n), 1 << bits, (bits,)


def _follow_gaps(symbols: Any, shape: tuple[int, ...], n: int, options: tuple[int, ...]) -> Any:
    at = np.cumsum(symbols, dtype=np.int64)
    at += np.arange(len(at))
    if len(at) and int(at[-1]) >= n:
        raise ValueError("a gap leads beyond the tensor")
    return at


def _grid(shape: tuple[int, ...], n: int, r: int, c: int) -> tuple[int, int]:
    rows, columns = matrix(shape, n)
    if not 1 <= r <= rows or not 1 <= c <= columns or rows % r or columns % c:
        raise ValueError(f"blocks of {r}×{c} do not divide a matrix of {rows}×{columns}")
    return rows // r, columns // c


def _blocks(mask: Any, shape: tuple[int, ...], r: int = 4, c: int = 4) -> Listed | None:
    """Blocks of r × c entries that are all zero are left out, a bit for each block."""
    try:
        a, b = _grid(shape, len(mask), r, c)
    except ValueError:
        return None
    kept = mask.reshape(a, r, b, c).any(axis=(1, 3))
    places = np.broadcast_to(kept[:, None, :, None], (a, r, b, c)).reshape(-1)
    return Listed(varint(r) + varint(c), np.packbits(kept, bitorder="little"), 256, places)


def _expect_blocks(reader: Reader, shape: tuple[int, ...], n: int) -> tuple[int, int, tuple[int, ...]]:
    r, c = reader.varint(), reader.varint()
    a, b = _grid(shape, n, r, c)
    return (a * b + 7) // 8, 256, (r, c)


def _fill_blocks(symbols: Any, shape: tuple[int, ...], n: int, options: tuple[int, ...]) -> Any:
    r, c = options
    a, b = _grid(shape, n, r, c)
    kept = _mask(symbols, shape, a * b, ())
    return np.broadcast_to(kept.reshape(a, 1, b, 1), (a, r, b, c)).reshape(-1)


@cache
def _patterns(n: int, m: int) -> Any:
    """All ways to choose n of m, in lexicographic order, as masks."""
    table = np.zeros((comb(m, n), m), dtype=np.bool_)
    for i, chosen in enumerate(combinations(range(m), n)):
        table[i, list(chosen)] = True
    return table


def _nm(mask: Any, shape: tuple[int, ...], n: int = 2, m: int = 4) -> Listed | None:
    """N of every m neighbours in a row, as the number of the choice; where fewer are not zero, the earliest zeros are listed."""
    _, columns = matrix(shape, len(mask))
    if columns % m or not len(mask):
        return None
    groups = mask.reshape(-1, m)
    listed = groups.sum(axis=1, dtype=np.uint8)
    if int(listed.max()) > n:
        return None
    filled = groups | (~groups & (np.cumsum(~groups, axis=1, dtype=np.uint8) <= (n - listed)[:, None]))
    powers = (1 << np.arange(m)).astype(np.uint8)
    number = np.zeros(1 << m, dtype=np.uint8)
    patterns = _patterns(n, m)
    number[patterns @ powers] = np.arange(len(patterns))
    return Listed(bytes([n, m]), number[filled @ powers], len(patterns), filled.reshape(-1))


def _expect_nm(reader: Reader, shape: tuple[int, ...], entries: int) -> tuple[int, int, tuple[int, ...]]:
    n, m = reader.byte(), reader.byte()
    if not 1 <= n < m <= 8 or matrix(shape, entries)[1] % m:
        raise ValueError(f"{n} of {m} do not fit a matrix of {'×'.join(map(str, matrix(shape, entries)))}")
    return entries // m, comb(m, n), (n, m)


def _choose(symbols: Any, shape: tuple[int, ...], n: int, options: tuple[int, ...]) -> Any:
    return _patterns(*options)[symbols].reshape(-1)


LAYOUTS: dict[str, Positions] = {
    "dense": Positions(_everything, lambda reader, shape, n: (0, 1, ()), lambda symbols, shape, n, options: slice(None)),
    "bitmask": Positions(_bits, lambda reader, shape, n: ((n + 7) // 8, 256, ()), _packed),
    "gaps": Positions(_gaps, _expect_gaps, _follow_gaps),
    "blocks": Positions(_blocks, _expect_blocks, _fill_blocks),
    "n:m": Positions(_nm, _expect_nm, _choose),
}
