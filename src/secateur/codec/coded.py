"""One tensor as one payload, in the smallest of all layouts, and back.

A payload begins with a byte that says which: layout · 16 + kind of values · 4 + coder. Then come the positions, preceded by
their length, and the values. A tensor without an entry that is not zero has no payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import bitmask, context, values
from .entropy import CODERS, fixed
from .positions import LAYOUTS, count_places, matrix
from .unpacked import Unpacked
from .wire import Reader, varint

__all__ = ["LAYOUT_NAMES", "NOTHING", "Parts", "Payload", "Wish", "decode", "encode", "unpack"]

LAYOUT_NAMES = (*LAYOUTS, "context")
_CODERS = tuple(CODERS)
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_BLOCKS = ((1, 4), (4, 1), (8, 1), (1, 8), (16, 1), (1, 16), (4, 4), (8, 8))
_NM = ((1, 4), (2, 4), (1, 2), (4, 8))
_CHUNK = 1 << 17  # entries at once, where a copy would count
_SPARSE = 0.02  # gaps are tried beside bitmasks below this density, unless Huffman's code is asked for


@dataclass(frozen=True)
class Wish:
    """What the caller wants of the layouts.

    Attributes:
        coder: ``range``, ``rans``, ``huffman`` or ``none``.
        layout: one of ``LAYOUT_NAMES``, or None for the smallest.
        index_bits: of gaps, or None for the best; a number asks for gaps.
        work: decisions that a scan by contexts may take, which are slow.
    """

    coder: str = "range"
    layout: str | None = None
    index_bits: int | None = None
    work: int = context.WORK


@dataclass(frozen=True)
class Payload:
    """A tensor in the file: its layout's name, how many of its entries are not zero, its bytes, and the scan's decisions."""

    layout: str
    nonzero: int
    data: bytes
    work: int = 0


@dataclass(frozen=True)
class Parts:
    """Where the bytes of a payload go.

    Attributes:
        positions: bytes that say where the entries are.
        values: bytes that say what they are, without the codebook.
        codebook: bytes of the codebook.
        other: the rest.
        listed: entries that are listed; more than are not zero when there are fillers.
        index_bits: bits that a position takes before coding, on average.
        weight_bits: bits that a value takes before coding.
    """

    positions: float
    values: float
    codebook: int
    other: int
    listed: int
    index_bits: float
    weight_bits: int


NOTHING = Parts(0, 0, 0, 0, 0, 0, 0)


def encode(tensor: Tensor, wish: Wish | None = None) -> Payload:
    """The smallest payload of a contiguous tensor on the CPU.

    Example:
        >>> p = encode(torch.eye(100))
        >>> p.layout, p.nonzero, len(p.data)
        ('gaps', 100, 36)
        >>> torch.equal(decode(p.data, 100, torch.float32, (100, 100))[0], torch.eye(100))
        True
    """
    wish = wish or Wish()
    if tensor.dtype not in bitmask.SUPPORTED:
        raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        return Payload("dense", bitmask.count(tensor), b"\0" + raw if raw else b"")
    patterns = _patterns(tensor)
    mask = _mask(patterns, tensor.dtype)
    nonzero = int(np.count_nonzero(mask))
    shape = tuple(tensor.shape)
    if not nonzero:
        return Payload("dense", 0, b"")
    found: Payload | None = None
    if wish.coder == "range" and wish.layout in (None, "context") and not wish.index_bits:
        best = context.encode(patterns, mask, shape, wish.work)
        if best is not None:
            found = Payload("context", nonzero, bytes([LAYOUT_NAMES.index("context") << 4]) + best[0], best[1])
        if found is not None and wish.layout:
            return found
    size, layout, options, kind, coder = min(_plans(patterns, mask, shape, wish), key=lambda p: p[0])
    if found is None or size < len(found.data):
        parts = _parts_of(patterns, mask, shape, layout, options)
        del mask  # the largest of what is here
        data = _write(*parts, layout, kind, coder)
        if found is None or len(data) < len(found.data):
            return Payload(layout, nonzero, data, 0 if found is None else found.work)
    assert found is not None
    return found


def _patterns(tensor: Tensor) -> Any:
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().view(_UNSIGNED[tensor.element_size()])


def _mask(patterns: Any, dtype: torch.dtype) -> Any:
    """Which patterns are not zero; of floats −0.0 is zero."""
    if not dtype.is_floating_point:
        return patterns != 0
    mask = np.empty(len(patterns), dtype=np.bool_)
    for i in range(0, len(patterns), _CHUNK):
        np.not_equal(patterns[i : i + _CHUNK] << patterns.dtype.type(1), 0, out=mask[i : i + _CHUNK])
    return mask


def _layouts(mask: Any, shape: tuple[int, ...], wish: Wish) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Layouts that may be worth trying, with their options."""
    rows, columns = matrix(shape, len(mask))
    told = wish.layout or ("gaps" if wish.index_bits else None)
    told = told if told in LAYOUTS and len(shape) > 1 else None
    density = np.count_nonzero(mask) / len(mask)
    if told == "dense" or (told is None and (density > 0.5 or len(mask) < 1 << 16)):
        yield "dense", ()
    if told in (None, "bitmask"):
        yield "bitmask", ()
    if told == "gaps" or (told is None and (wish.coder == "huffman" or density < _SPARSE or len(mask) < 1 << 16)):
        for bits in (wish.index_bits,) if wish.index_bits else range(2, 9):
            yield "gaps", (bits,)
    sample = mask.reshape(rows, columns)[: max(1, min(rows, (1 << 20) // columns) // 16 * 16)]
    for r, c in dict.fromkeys((*_BLOCKS, (1, prod(shape[2:])), (1, columns), (rows, 1))) if told in (None, "blocks") else ():
        if 1 < r * c < len(mask) and rows % r == 0 and columns % c == 0 and (r <= len(sample) or told):
            part = sample[: len(sample) // r * r]
            blocks = part.reshape(len(part) // r, r, columns // c, c).any(axis=(1, 3))
            if told or np.count_nonzero(blocks) * r * c < 1.2 * np.count_nonzero(part):
                yield "blocks", (r, c)
    for n, m in _NM if told in (None, "n:m") else ():
        if columns % m == 0 and int(sample.reshape(-1, m).sum(axis=1, dtype=np.uint8).max()) <= n:
            yield "n:m", (n, m)


def _plans(patterns: Any, mask: Any, shape: tuple[int, ...], wish: Wish) -> list[tuple[float, str, tuple[int, ...], str, str]]:
    """About how many bytes each way takes, and the way: layout, options, kind of values, coder."""
    coders = {"range": ("none", "rans"), "rans": ("none", "rans"), "huffman": ("huffman", "none"), "none": ("none",)}[wish.coder]
    found = []
    for layout, options in _layouts(mask, shape, wish):
        listed = LAYOUTS[layout].encode(mask, shape, *options)
        if listed is None:
            continue
        ways = _values_ways(patterns[listed.places], coders)
        for coder in coders:
            where = values.estimate(listed.symbols, listed.alphabet, coder) + len(listed.parameters)
            found += [(where + what, layout, options, kind, coder) for what, kind, c in ways if c == coder]
        del listed
    if not found:  # the layout that was asked for does not fit this tensor
        return _plans(patterns, mask, shape, Wish(wish.coder))
    return found


def _values_ways(listed: Any, coders: tuple[str, ...]) -> list[tuple[float, str, str]]:
    """About how many bytes the values take by each kind and coder; of very many, from a part of them."""
    found = [(float(listed.nbytes), "raw", c) for c in coders]
    book = values.codebook_of(listed)
    part = listed[:: max(1, len(listed) >> 19)].copy()
    share = len(listed) / max(len(part), 1)
    del listed
    if book is not None:
        index = values.index_in(book, part)
        found += [(2 + book.nbytes + share * values.estimate(index, len(book), c), "codebook", c) for c in coders]
    elif len(coders) > 1 and part.itemsize > 1:
        c = next(c for c in coders if c != "none")
        planes = (values.plane(part, i) for i in range(part.itemsize))
        found.append((share * sum(min(values.estimate(p, 256, c), len(p)) + 4 for p in planes), "planes", c))
    return found


def _parts_of(patterns: Any, mask: Any, shape: tuple[int, ...], layout: str, options: Any) -> tuple[bytes, Any, int, Any]:
    """Parameters, symbols and alphabet of the positions, and the listed entries."""
    listed = LAYOUTS[layout].encode(mask, shape, *options)
    assert listed is not None
    entries = patterns[listed.places]
    if layout != "dense" and listed.places is not mask:
        entries[~mask[listed.places]] = 0
    return listed.parameters, listed.symbols, listed.alphabet, entries


def _write(parameters: bytes, symbols: Any, alphabet: int, entries: Any, layout: str, kind: str, coder: str) -> bytes:
    first = bytes([LAYOUT_NAMES.index(layout) << 4 | values.KINDS.index(kind) << 2 | _CODERS.index(coder)])
    coded = CODERS[coder].encode(symbols, alphabet) if len(symbols) else b""
    where = [parameters, varint(len(coded)), coded] if layout != "dense" else []
    return b"".join([first, *where, *values.encode(entries, kind, coder)])


def decode(data: bytes | memoryview, nonzero: int, dtype: torch.dtype, shape: tuple[int, ...]) -> tuple[Tensor, Parts]:
    """The tensor of a payload, and where its bytes go.

    Raises:
        ValueError: not what an encoder writes.
    """
    found, parts = unpack(data, nonzero, dtype, shape)
    return found.tensor(dtype, shape), parts


def unpack(
    data: bytes | memoryview, nonzero: int, dtype: torch.dtype, shape: tuple[int, ...], watch: Callable[[Any], Any] | None = None
) -> tuple[Unpacked, Parts]:
    """What a payload holds, checked to its end, and where its bytes go.

    Raises:
        ValueError: not what an encoder writes.
    """
    n = prod(shape)
    if not data:
        if nonzero:
            raise ValueError(f"{nonzero} entries are declared and none is there")
        return Unpacked(slice(None), np.zeros(1, dtype=np.uint8), 0), NOTHING
    if dtype not in bitmask.SUPPORTED:
        return _plain(data, dtype, shape), Parts(0, len(data) - 1, 0, 1, n, 0, dtype.itemsize * 8)
    reader, unsigned = Reader(data), np.dtype(_UNSIGNED[dtype.itemsize])
    first = reader.byte()
    if first >> 4 >= len(LAYOUT_NAMES) or first & 3 >= len(_CODERS) or first >> 2 & 3 >= len(values.KINDS):
        raise ValueError(f"there is no layout {first}")
    layout = LAYOUT_NAMES[first >> 4]
    if nonzero > n:
        raise ValueError(f"{nonzero} of {n} entries are declared")
    if layout == "context":
        if first & 15:
            raise ValueError(f"there is no layout {first}")
        flat, book, bits = context.decode(reader, n, nonzero, shape, unsigned, watch)
        size = len(data) - book - 1
        parts = Parts(0, size, book, 1, nonzero, n / nonzero if nonzero < n else 0, bits or dtype.itemsize * 8)
        return _unpacked(slice(None), flat, dtype), parts
    kind, coder = values.KINDS[first >> 2 & 3], _CODERS[first & 3]
    places, listed, index_bits = _places(reader, layout, coder, shape, n)
    where = len(data) - 1 - reader.left
    found, book = values.decode(reader, listed, unsigned, kind, coder)
    if int(np.count_nonzero(_mask(found, dtype))) != nonzero:
        raise ValueError(f"{np.count_nonzero(_mask(found, dtype))} entries are not zero; {nonzero} are declared")
    weight_bits = fixed.width(book // dtype.itemsize) if kind == "codebook" else dtype.itemsize * 8
    parts = Parts(where, len(data) - 1 - where - book, book, 1, listed, index_bits / max(listed, 1), weight_bits)
    return _unpacked(places, found, dtype), parts


def _unpacked(places: Any, entries: Any, dtype: torch.dtype) -> Unpacked:
    if dtype == torch.bool and len(entries) and int(entries.max()) > 1:
        raise ValueError("a truth value is neither 0 nor 1")
    return Unpacked(places, entries, entries.nbytes + (0 if isinstance(places, slice) else places.nbytes))


def _places(reader: Reader, layout: str, coder: str, shape: tuple[int, ...], n: int) -> tuple[Any, int, int]:
    """The places, how many there are, and the bits that they would take as they are."""
    if layout == "dense":
        return slice(None), n, 0
    count, alphabet, options = LAYOUTS[layout].expect(reader, shape, n)
    part = Reader(reader.take(reader.varint()))
    symbols = CODERS[coder].decode(part, count, alphabet) if count else np.zeros(0, dtype=np.uint8)
    part.end()
    places = LAYOUTS[layout].decode(symbols, shape, n, options)
    return places, count_places(places), count * fixed.width(alphabet)


def _plain(data: bytes | memoryview, dtype: torch.dtype, shape: tuple[int, ...]) -> Unpacked:
    if data[0] or len(data) - 1 != prod(shape) * dtype.itemsize:
        raise ValueError(f"it has {len(data) - 1} bytes; {prod(shape) * dtype.itemsize} are declared")
    return Unpacked(slice(None), np.frombuffer(data, dtype=np.uint8, offset=1), len(data))
