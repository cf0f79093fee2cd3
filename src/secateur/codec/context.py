"""A small tensor as the scan codes it: which entries are not zero, and their values, in one arithmetic code.

Values are numbers in a codebook; or, when there are many, a sign, the highest bits by context, the bits below as they are, and
the bits that are zero in all of them not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from .entropy import fixed
from .entropy.arithmetic import BitDecoder, BitEncoder
from .entropy.scan import Coder, scan
from .positions import matrix
from .values import codebook_of, read_codebook, write_codebook
from .wire import Reader, varint

__all__ = ["decode", "encode", "fits"]

WORK = 1 << 21  # decisions that one tensor may take, and without a wish for this layout one file: a few seconds
_PROBE = 32  # rows on which widths are tried


@dataclass(frozen=True)
class _Split:
    """How a value is split: its magnitude's coded bits, the bits below as they are, and zeros; or a codebook."""

    book: Any
    coded: int
    plain: int
    zeros: int

    @property
    def signed(self) -> bool:
        return self.book is None or 0 < self._positives < len(self.book)

    @property
    def _positives(self) -> int:
        return int(np.count_nonzero(self.book >> self.book.dtype.type(self.book.itemsize * 8 - 1) == 0))

    def apart(self, values: Any) -> tuple[Any, Any, Any]:
        """Signs (1 is positive), magnitudes, and the bits below."""
        top = values.itemsize * 8 - 1
        positive = (values >> values.dtype.type(top) == 0).astype(np.int64)
        if self.book is not None:
            index = np.searchsorted(self.book, values)
            return positive, np.where(positive, index, index - self._positives), None
        body = values >> values.dtype.type(self.zeros)
        plain = body & values.dtype.type((1 << self.plain) - 1)
        return positive, (body >> values.dtype.type(self.plain)).astype(np.int64) & ((1 << self.coded) - 1), plain

    def together(self, positive: Any, magnitude: Any, plain: Any, dtype: Any) -> Any:
        """The values again."""
        if self.book is not None:
            if not self.signed:
                index = magnitude
            else:
                index = np.where(positive, magnitude, magnitude + self._positives)
                if (magnitude[positive == 1] >= self._positives).any():
                    raise ValueError("a value is beyond the codebook")
            if len(index) and int(index.max()) >= len(self.book):
                raise ValueError("a value is beyond the codebook")
            return self.book[index]
        body = magnitude.astype(dtype) << dtype.type(self.plain) | plain.astype(dtype)
        sign = (1 - positive).astype(dtype) << dtype.type(dtype.itemsize * 8 - 1)
        return body << dtype.type(self.zeros) | sign


def _with_book(book: Any) -> _Split:
    split = _Split(book, 0, 0, 0)
    positives = split._positives
    return _Split(book, fixed.width(max(positives, len(book) - positives, 1)), 0, 0)


def _without_book(dtype: Any, zeros: int, coded: int) -> _Split:
    bits = dtype.itemsize * 8 - 1
    if zeros + coded > bits or coded > 16:
        raise ValueError(f"{coded} coded bits and {zeros} zeros are more than a value has")
    return _Split(None, coded, bits - zeros - coded, zeros)


def fits(n: int, kept: int, coded: int, most: int = WORK) -> bool:
    """Whether a tensor of n entries, of which ``kept`` are not zero, is small enough."""
    return n > 0 and n + kept * (coded + 1) <= most


def _grid(shape: tuple[int, ...], n: int) -> tuple[int, int, bool]:
    """Rows, columns, and whether they changed places: never more rows than columns."""
    rows, columns = matrix(shape, n)
    return (columns, rows, True) if rows > columns else (rows, columns, False)


def _widths(shape: tuple[int, ...], columns: int, turned: bool) -> list[int]:
    found = [columns]
    if not turned and len(shape) > 2:
        found.append(shape[-1])
    elif not turned:
        found += [isqrt(columns)] if isqrt(columns) ** 2 == columns else []
        found += [w for w in (4, 5, 7, 8) if columns % (w * w) == 0 and columns > w * w]
    return [w for w in dict.fromkeys(found) if w > 1 or columns == 1]


def _as_grid(flat: Any, grid: tuple[int, int, bool]) -> Any:
    rows, columns, turned = grid
    return np.ascontiguousarray(flat.reshape(columns, rows).T if turned else flat.reshape(rows, columns))


def _run(coder: Coder, split: _Split, width: int, entries: Any, count: int) -> Any:
    return scan(coder, entries[0].shape, width, split.coded, split.signed, entries, count)


def _best_width(shape: tuple[int, ...], grid: tuple[int, int, bool], kept: Any) -> int:
    """The width whose positions take the fewest bytes on some of the rows; an image must save a little to be one."""
    widths = _widths(shape, grid[1], grid[2])
    if len(widths) == 1:
        return widths[0]
    rows = np.unique(np.linspace(0, len(kept) - 1, _PROBE).astype(np.int64))
    sizes = []
    for width in widths:
        coder = BitEncoder()
        none = np.ones((len(rows), grid[1]), dtype=np.int64)
        scan(coder, none.shape, width, 0, False, (kept[rows], none, none * 0), int(kept[rows].sum()))
        sizes.append(len(coder.finish()) + (0 if width == grid[1] else 8))
    return widths[int(np.argmin(sizes))]


def _splits(values: Any) -> list[_Split]:
    book = codebook_of(values)
    found = []
    if book is not None and len(book) * 3 <= len(values) + 8:
        found.append(_with_book(book))
    if book is None or len(book) > 64 or not found:
        union = int(np.bitwise_or.reduce(values)) & ((1 << values.itemsize * 8 - 1) - 1)
        zeros = min((union & -union).bit_length() - 1, 63) if union else values.itemsize * 8 - 1
        left = values.itemsize * 8 - 1 - zeros
        exponent = {1: 7, 2: 7, 4: 8, 8: 11}[values.itemsize]
        found += [
            _without_book(values.dtype, zeros, min(left, exponent + more)) for more in ((0, 2, 4) if len(values) < 4096 else (4,))
        ]
    return found


def encode(patterns: Any, mask: Any, shape: tuple[int, ...], most: int = WORK) -> tuple[bytes, int] | None:
    """The payload of a tensor of bit patterns, and the decisions in it; None when it would take more than ``most``."""
    n = len(patterns)
    if not fits(n, int(np.count_nonzero(mask)), 0, most):
        return None
    values = patterns[mask]
    grid = _grid(shape, n)
    kept = _as_grid(mask, grid).astype(np.int64)
    best: tuple[bytes, int] | None = None
    width = grid[1] if len(values) == n else None
    for split in _splits(_as_grid(patterns, grid)[kept == 1]):
        if not fits(n, len(values), split.coded, most):
            continue
        if width is None:
            width = _best_width(shape, grid, kept)
        positive, magnitude = np.ones_like(kept), np.zeros_like(kept)
        signs, magnitudes, plain = split.apart(_as_grid(patterns, grid)[kept == 1])
        positive[kept == 1] = signs if split.signed else 1
        magnitude[kept == 1] = magnitudes
        coder = BitEncoder()
        _run(coder, split, width, (kept, positive, magnitude), len(values))
        head = varint(width)
        if split.book is not None:
            head += write_codebook(split.book)
        else:
            head += bytes([0, split.zeros, split.coded]) + fixed.encode(plain, 1 << split.plain)
        found = head + coder.finish()
        if best is None or len(found) < len(best[0]):
            best = found, n + len(values) * (split.coded + 1)
    return best


def decode(reader: Reader, n: int, kept: int, shape: tuple[int, ...], dtype: Any, wrap: Any = None) -> tuple[Any, int, int]:
    """The flat patterns, the bytes of the codebook, and the bits of a number in it (0 without one).

    Args:
        reader: of the payload.
        n: entries.
        kept: how many of them are not zero.
        shape: of the tensor.
        dtype: of the patterns.
        wrap: makes of the decoder what is asked for bits, for who wants to watch.

    Raises:
        ValueError: not what an encoder writes.
    """
    width, grid = reader.varint(n), _grid(shape, n)
    if not width or grid[1] % width or not 0 < kept <= n:
        raise ValueError(f"an image of width {width} does not fit {grid[1]} columns, or nothing is kept")
    plain = np.zeros(0, dtype=dtype)
    book = read_codebook(reader, dtype)
    split = _with_book(book) if len(book) else _without_book(dtype, reader.byte(), reader.byte())
    if not fits(n, kept, split.coded):
        raise ValueError("it is too large for this layout")
    if split.book is None:
        plain = fixed.decode(reader, kept, 1 << split.plain)
    entries = tuple(np.full((grid[0], grid[1]), v, dtype=np.int64) for v in (kept == n, 1, 0))
    coder = BitDecoder(reader.rest())
    found = _run(coder if wrap is None else wrap(coder), split, width, entries, kept)
    coder.finish()
    at = found[0] == 1
    if int(np.count_nonzero(at)) != kept:
        raise ValueError(f"{int(np.count_nonzero(at))} entries are not zero; {kept} are declared")
    whole = np.zeros((grid[0], grid[1]), dtype=dtype)
    whole[at] = split.together(found[1][at], found[2][at], plain, dtype)
    flat = np.ascontiguousarray(whole.T if grid[2] else whole).reshape(-1)
    return flat, book.nbytes, fixed.width(len(book)) if len(book) else 0
