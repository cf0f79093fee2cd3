"""Symbols as they are, each in as many bits as the largest needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..wire import Reader

__all__ = ["decode", "encode", "width"]

_CHUNK = 1 << 16  # symbols at once: a whole number of bytes


def width(alphabet: int) -> int:
    """Bits of a symbol below ``alphabet``.

    Example:
        >>> width(1), width(32), width(33)
        (0, 5, 6)
    """
    return (alphabet - 1).bit_length()


def encode(symbols: Any, alphabet: int) -> bytes:
    """Symbols 0…alphabet − 1, the first in the lowest bits.

    Example:
        >>> encode(np.array([1, 2, 3]), 4).hex()
        '39'
    """
    w = width(alphabet)
    shifts = np.arange(w, dtype=np.uint64)
    out = []
    for i in range(0, len(symbols), _CHUNK):
        bits = symbols[i : i + _CHUNK, None].astype(np.uint64) >> shifts & np.uint64(1)
        out.append(np.packbits(bits.astype(np.uint8), bitorder="little").tobytes())
    return b"".join(out)


def decode(reader: Reader, n: int, alphabet: int) -> Any:
    """``n`` symbols.

    Raises:
        ValueError: cut off, or a symbol is beyond the alphabet.

    Example:
        >>> decode(Reader(bytes.fromhex("39")), 3, 4).tolist()
        [1, 2, 3]
    """
    w = width(alphabet)
    data = np.frombuffer(reader.take((n * w + 7) // 8), dtype=np.uint8)
    symbols: Any = np.zeros(n, dtype=np.uint8 if w <= 8 else np.uint16 if w <= 16 else np.uint64)
    for i in range(0, n if w else 0, _CHUNK):
        m = min(_CHUNK, n - i)
        bits = np.unpackbits(data[i * w // 8 : ((i + m) * w + 7) // 8], count=m * w, bitorder="little").reshape(m, w)
        for level in range(w):
            symbols[i : i + m] += bits[:, level].astype(symbols.dtype) << symbols.dtype.type(level)
    if n * w % 8 and int(data[-1]) >> n * w % 8:
        raise ValueError("a bit is set beyond the last symbol")
    if n and int(symbols.max()) >= alphabet:
        raise ValueError(f"a symbol is above {alphabet - 1}")
    return symbols
