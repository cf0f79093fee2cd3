"""Canonical Huffman codes of at most 16 bits, with stored lengths, as in Deep Compression.

A symbol that occurs alone takes one bit. Code words are handed out by length, then by symbol (canonical), so that the
lengths are all that is stored: five bits each. Symbols lie in lanes of 4096, whose sizes in bits are stored too: one lane is read
as symbol after symbol, many side by side.

Source: Huffman 1952; the limit on the length by package-merge, Larmore and Hirschberg 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..wire import Reader, varint
from . import fixed
from .counting import counted

__all__ = ["code_lengths", "decode", "encode"]

LONGEST = 16
LANE = 4096


def code_lengths(counts: Any) -> Any:
    """Bits of each symbol's code word; 0 for symbols that do not occur.

    Args:
        counts: how often each symbol occurs, at most 65,536 of them.

    Example:
        >>> code_lengths(np.array([5, 2, 0, 1])).tolist()
        [1, 2, 0, 2]
    """
    used = np.flatnonzero(counts)
    lengths = np.zeros(len(counts), dtype=np.int64)
    if len(used) == 1:
        lengths[used] = 1
    if len(used) < 2:
        return lengths
    leaves = sorted((int(counts[s]), (int(s),)) for s in used)
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(LONGEST):
        packages = sorted(leaves + [(a[0] + b[0], a[1] + b[1]) for a, b in zip(packages[::2], packages[1::2], strict=False)])
    for _, symbols in packages[: 2 * len(used) - 2]:
        np.add.at(lengths, list(symbols), 1)
    return lengths


def _code_words(lengths: Any) -> Any:
    """The canonical code words.

    Raises:
        ValueError: no prefix code has these lengths.
    """
    words = np.zeros(len(lengths), dtype=np.int64)
    word = 0
    for length in range(1, int(lengths.max(initial=0)) + 1):
        word <<= 1
        of_length = np.flatnonzero(lengths == length)
        words[of_length] = word + np.arange(len(of_length))
        word += len(of_length)
        if word > 1 << length:
            raise ValueError("the lengths are those of no prefix code")
    return words


def encode(symbols: Any, alphabet: int) -> bytes:
    """Lengths, sizes of the lanes but for the last, and code words, the first bit in the highest of a byte.

    Example:
        >>> encode(np.array([0, 0, 1]), 2).hex()  # lengths 1 and 1; the bits 001
        '210020'
    """
    lengths = code_lengths(counted(symbols, alphabet))
    words = _code_words(lengths)
    sizes, body = [], []
    carry = np.zeros(0, dtype=np.uint8)
    for i in range(0, len(symbols), LANE):
        bits = lengths[symbols[i : i + LANE]]
        which = np.repeat(np.arange(len(bits)), bits)
        place = np.repeat(np.cumsum(bits), bits) - np.arange(len(which)) - 1
        carry = np.concatenate([carry, (words[symbols[i : i + LANE]][which] >> place & 1).astype(np.uint8)])
        sizes.append(len(which))
        whole = len(carry) // 8 * 8
        body.append(np.packbits(carry[:whole]).tobytes())
        carry = carry[whole:]
    body.append(np.packbits(carry).tobytes())
    return fixed.encode(lengths, 32) + b"".join(varint(s) for s in sizes[:-1]) + b"".join(body)


def decode(reader: Reader, n: int, alphabet: int) -> Any:
    """``n`` symbols.

    Raises:
        ValueError: cut off, no prefix code, or the bits do not end where they should.

    Example:
        >>> decode(Reader(bytes.fromhex("210020")), 3, 2).tolist()
        [0, 0, 1]
    """
    lengths = fixed.decode(reader, alphabet, 32).astype(np.int64)
    lanes = -(-n // LANE)
    sizes = [reader.varint(LANE * LONGEST) for _ in range(lanes - 1)]
    start = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    if n and (int(lengths.max(initial=0)) > LONGEST or not lengths.any() or reader.left * 8 < int(start[-1])):
        raise ValueError("the lengths are those of no code, or the code words are cut off")
    table = _table(lengths)
    data = reader.rest()
    if not n:
        if len(data):
            raise ValueError("bytes are left over")
        return np.zeros(0, dtype=np.uint16)
    padded = np.frombuffer(bytes(data) + bytes(3), dtype=np.uint8).astype(np.int32)
    ahead = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    out = np.zeros((lanes, LANE), dtype=np.uint16)
    at = start.copy()
    last = n - (lanes - 1) * LANE
    for i in range(LANE if lanes > 1 else last):
        if i == last:
            end, at = int(at[-1]), at[:-1]
        here = np.minimum(at >> 3, len(data))
        found = table[ahead[here] >> (8 - (at & 7)) & 0xFFFF]
        out[: len(at), i] = found >> 5
        at = at + (found & 31)
    ends = np.concatenate([at, [end]]) if last < LANE and lanes > 1 else at
    expected = np.concatenate([start[1:], ends[-1:]])
    if not np.array_equal(ends, expected) or -(-int(ends[-1]) // 8) != len(data):
        raise ValueError("the code words do not end where they should")
    return out.reshape(-1)[:n]


def _table(lengths: Any) -> Any:
    """By the next 16 bits, symbol · 32 + length; an unused word has length 0 and ends nowhere."""
    table = np.zeros(1 << LONGEST, dtype=np.int64)
    words = _code_words(lengths)
    for symbol in np.flatnonzero(lengths).tolist():
        length = int(lengths[symbol])
        first = int(words[symbol]) << (LONGEST - length)
        table[first : first + (1 << (LONGEST - length))] = symbol << 5 | length
    return table
