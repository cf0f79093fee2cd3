"""Range asymmetric numeral systems in many lanes: near the entropy, and quick in plain numpy.

Symbol i belongs to lane i mod L. Each lane has a state x in [2¹⁶, 2³²). With frequencies f that sum to 2¹⁴ and their running
sum c, decoding is s = the symbol whose [c_s, c_s + f_s) holds x mod 2¹⁴, then x ← f_s·⌊x / 2¹⁴⌋ + (x mod 2¹⁴) − c_s, and a
16-bit word is taken when x < 2¹⁶. Lanes take their words in order, in the first round lane 0 to L − 1, and so on.

Source: Duda 2013; interleaving after Giesen 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..wire import Reader, varint
from .counting import counted

__all__ = ["decode", "encode"]

_BITS = 14
_SUM = 1 << _BITS
_LOW = 1 << 16
_MASK, _SHIFT, _HALF, _OFFSET = np.uint32(_SUM - 1), np.uint32(_BITS), np.uint32(16), np.uint32(0xFFFF)
_LANE = 2048  # symbols that a lane has at least, so that its four bytes do not count
_MOST_LANES = 4096


def _lanes(n: int) -> int:
    return min(max(n // _LANE, 1), _MOST_LANES)


def _frequencies(counts: Any) -> Any:
    """Counts scaled to the sum 2¹⁴; what occurs has at least 1."""
    f = np.maximum(counts * _SUM // counts.sum(), counts > 0)
    while (excess := int(f.sum()) - _SUM) != 0:
        if excess < 0:
            f[np.argmax(counts)] -= excess
        else:
            top = int(np.argmax(f))
            f[top] -= min(excess, max(int(f[top]) // 2, 1))
    return f


def encode(symbols: Any, alphabet: int) -> bytes:
    """Frequencies, the lanes' last states, and the words.

    Args:
        symbols: below ``alphabet``, itself at most 4096.
        alphabet: how many symbols there are.

    Example:
        >>> len(encode(np.array([0, 0, 0, 0, 0, 0, 0, 1] * 1000), 2))  # 8000 · 0.544 bits are 543 bytes
        557
    """
    if not len(symbols):
        return b""
    f = _frequencies(counted(symbols, alphabet))
    head = np.packbits(f > 0, bitorder="little").tobytes() + b"".join(varint(int(v) - 1) for v in f[f > 0][:-1])
    lanes = _lanes(len(symbols))
    f, c = f.astype(np.uint64), (np.cumsum(f) - f).astype(np.uint64)
    x = np.full(lanes, _LOW, dtype=np.uint64)
    words = []
    for i in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        s = symbols[i : i + lanes]
        fs, cs, xs = f[s], c[s], x[: len(s)]
        full = xs >= fs << np.uint64(32 - _BITS)
        words.append((xs[full] & np.uint64(0xFFFF)).astype("<u2"))
        xs[full] >>= np.uint64(16)
        q, r = np.divmod(xs, fs)
        x[: len(s)] = (q << np.uint64(_BITS)) + r + cs
    return head + x.astype("<u4").tobytes() + b"".join(w.tobytes() for w in reversed(words))


def decode(reader: Reader, n: int, alphabet: int) -> Any:
    """``n`` symbols.

    Raises:
        ValueError: cut off, frequencies that are none, or the states do not end where an encoder starts.

    Example:
        >>> data = encode(np.array([3, 1, 3, 3]), 4)
        >>> decode(Reader(data), 4, 4).tolist()
        [3, 1, 3, 3]
    """
    if not n:
        reader.end()
        return np.zeros(0, dtype=np.uint8)
    symbol_of, entry = _read_table(reader, alphabet)
    lanes = _lanes(n)
    x = np.frombuffer(reader.take(4 * lanes), dtype="<u4").astype(np.uint32)
    if reader.left % 2 or int(x.min()) < _LOW:
        raise ValueError("the states or the words are cut off")
    words = np.frombuffer(reader.rest(), dtype="<u2").astype(np.uint32)
    slots = np.empty(-(-n // lanes) * lanes, dtype=np.uint16)
    at = 0
    for i in range(0, n, lanes):
        xs = x[: n - i]
        slot = xs & _MASK
        slots[i : i + len(xs)] = slot
        e = entry.take(slot)
        xs >>= _SHIFT
        xs *= e >> _HALF
        xs += e & _OFFSET
        hungry = np.flatnonzero(xs < _LOW)
        if len(hungry) > len(words) - at:
            raise ValueError("the words are cut off")
        xs[hungry] = xs[hungry] << _HALF | words[at : at + len(hungry)]
        at += len(hungry)
    if at != len(words) or (x != _LOW).any():
        raise ValueError("the states do not end where they should")
    return symbol_of[slots[:n]]


def _read_table(reader: Reader, alphabet: int) -> tuple[Any, Any]:
    """By x mod 2¹⁴: the symbol; and f in the upper half of 32 bits, (x mod 2¹⁴) − c in the lower."""
    used = np.flatnonzero(np.unpackbits(np.frombuffer(reader.take((alphabet + 7) // 8), np.uint8), bitorder="little"))
    if not len(used) or int(used[-1]) >= alphabet:
        raise ValueError("the frequencies are of no symbol, or of one beyond the alphabet")
    f = [reader.varint(_SUM) + 1 for _ in used[:-1]]
    f.append(_SUM - sum(f))
    if f[-1] < 1:
        raise ValueError(f"the frequencies sum to more than {_SUM}")
    frequency = np.array(f)
    index = np.repeat(np.arange(len(f)), f)
    offset = np.arange(_SUM) - (np.cumsum(frequency) - frequency)[index]
    symbol_of = used.astype(np.uint16 if alphabet > 256 else np.uint8)[index]
    return symbol_of, (frequency[index] << 16 | offset).astype(np.uint32)
