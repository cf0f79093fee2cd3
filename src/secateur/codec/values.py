"""What the listed entries are: their bytes as they are, a codebook and numbers in it, or their bytes plane by plane.

Values are bit patterns, unsigned whole numbers of the size of the tensor's type, so that all of them come back exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .entropy import CODERS, counted, fixed
from .wire import Reader, varint

__all__ = ["KINDS", "codebook_of", "decode", "encode", "estimate", "index_in", "plane", "read_codebook", "write_codebook"]

KINDS = ("raw", "codebook", "planes")
MOST_CENTROIDS = 256
_CHUNK = 1 << 18  # values at once, where a copy would count


def codebook_of(values: Any) -> Any:
    """The distinct patterns in ascending order, or None when there are more than 256."""
    found = np.unique(values[:4096])  # most tensors that are not shared are told by a few
    if len(found) <= MOST_CENTROIDS and len(values) > 4096:
        found = np.unique(np.concatenate([found, *(np.unique(values[i : i + 65536]) for i in range(4096, len(values), 65536))]))
    return found if len(found) <= MOST_CENTROIDS else None


def write_codebook(book: Any) -> bytes:
    """The number of patterns, and the patterns."""
    return varint(len(book)) + bytes(book.astype(book.dtype.newbyteorder("<")).tobytes())


def read_codebook(reader: Reader, dtype: Any) -> Any:
    """The patterns that ``write_codebook`` wrote.

    Raises:
        ValueError: cut off, too many, or not in ascending order.
    """
    n = reader.varint(MOST_CENTROIDS)
    book = np.frombuffer(reader.take(n * dtype.itemsize), dtype=dtype.newbyteorder("<")).astype(dtype)
    if (book[1:] <= book[:-1]).any():
        raise ValueError("the codebook is not in ascending order")
    return book


def index_in(book: Any, values: Any) -> Any:
    """The number of each value in the codebook that it is from."""
    index = np.empty(len(values), dtype=np.uint8)
    for i in range(0, len(values), _CHUNK):
        index[i : i + _CHUNK] = np.searchsorted(book, values[i : i + _CHUNK])
    return index


def plane(values: Any, which: int) -> Any:
    """One byte of the patterns turned left by one bit, so that a float's exponent is the highest: 0 is the lowest."""
    found = np.empty(len(values), dtype=np.uint8)
    kind, top = values.dtype.type, values.itemsize * 8 - 1
    for i in range(0, len(values), _CHUNK):
        part = values[i : i + _CHUNK]
        found[i : i + _CHUNK] = ((part << kind(1)) | (part >> kind(top))) >> kind(8 * which)
    return found


def _bytes_of(symbols: Any, alphabet: int, coder: str) -> float:
    """About how many bytes a coder takes."""
    if coder == "none":
        return len(symbols) * fixed.width(alphabet) / 8
    counts = counted(symbols, alphabet)
    share = counts[counts > 0] / max(len(symbols), 1)
    table = len(share) * 1.5 + alphabet / 8 if coder == "rans" else alphabet * 5 / 8
    return float(-(share * np.log2(share)).sum() * len(symbols) / 8) + table


def estimate(symbols: Any, alphabet: int, coder: str) -> float:
    """About how many bytes symbols take."""
    return _bytes_of(symbols, alphabet, coder) if len(symbols) else 0.0


def encode(values: Any, kind: str, coder: str) -> list[bytes]:
    """Values in one of the kinds, in pieces."""
    if kind == "raw":
        return [values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()]
    if kind == "codebook":
        book = codebook_of(values)
        return [write_codebook(book), CODERS[coder].encode(index_in(book, values), len(book))]
    out = []
    for which in range(values.itemsize - 1, -1, -1):
        part = plane(values, which)
        coded = CODERS[coder].encode(part, 256) if estimate(part, 256, coder) < 0.98 * len(part) else part.tobytes()
        out += [varint(len(coded) << 1 | (len(coded) != len(part))), coded]
    return out


def decode(reader: Reader, n: int, dtype: Any, kind: str, coder: str) -> tuple[Any, int]:
    """``n`` values, and the bytes of the codebook, if there is one.

    Raises:
        ValueError: cut off, or not what an encoder writes.
    """
    if kind == "raw":
        if reader.left != n * dtype.itemsize:
            raise ValueError(f"{n} values take {n * dtype.itemsize} bytes; there are {reader.left}")
        return np.frombuffer(reader.rest(), dtype=dtype.newbyteorder("<")).astype(dtype, copy=False), 0
    if kind == "codebook":
        book = read_codebook(reader, dtype)
        symbols = CODERS[coder].decode(reader, n, max(len(book), 1))
        reader.end()
        if n and not len(book):
            raise ValueError("the codebook is empty")
        return book[symbols] if n else book[:0], book.nbytes
    kind_of = dtype.type
    turned = np.zeros(n, dtype=dtype)
    for _ in range(dtype.itemsize):
        size = reader.varint()
        part = Reader(reader.take(size >> 1))
        found = CODERS[coder].decode(part, n, 256) if size & 1 else np.frombuffer(part.take(n), dtype=np.uint8)
        part.end()
        if dtype.itemsize > 1:
            turned <<= kind_of(8)
        turned |= found.astype(np.uint8, copy=False)
    reader.end()
    for i in range(0, n, _CHUNK):
        turned[i : i + _CHUNK] = turned[i : i + _CHUNK] >> kind_of(1) | turned[i : i + _CHUNK] << kind_of(dtype.itemsize * 8 - 1)
    return turned, 0
