"""The file of format version 3: one byte tensor, ``secateur``, that holds every tensor's payload and an index.

::

    payload 0 | payload 1 | … | index | length of the index, 4 bytes | CRC-32 of index and length, 4 bytes

The index says of each tensor its name, type, shape, how many entries are not zero, the length of its payload and the payload's
CRC-32. It comes last, so that a file is written tensor after tensor. All but the checksums is deflated.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import torch

from ..core.errors import FormatError
from ..graph.plan import from_plain, to_plain
from .header import Shape
from .wire import Reader, varint

__all__ = ["DTYPES", "TENSOR", "VERSION", "Body", "Index", "Stored", "read_index", "spans"]

VERSION = "3"
TENSOR = "secateur"
DTYPES = (
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32,
    torch.int64, torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2,
)  # fmt: skip
_TAIL = 8
_BUFFER = 1 << 20
_LARGEST_INDEX = 1 << 28


@dataclass(frozen=True)
class Stored:
    """One tensor of the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    nonzero: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Index:
    """The tensors in the order of the state, names that stand for another's, the user's texts, the shape of a shrunken model."""

    tensors: dict[str, Stored]
    same_as: dict[str, str]
    metadata: dict[str, str]
    shape: Shape | None = None


def _safetensors_header(length: int) -> bytes:
    about = json.dumps({"format_version": VERSION}, separators=(",", ":"))
    fields = {"__metadata__": {TENSOR: about}, TENSOR: {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}
    return json.dumps(fields, separators=(",", ":")).encode()


class Body:
    """The byte tensor of a file that is being written: small ones at the end in one go, large ones as they come.

    Args:
        file: empty, open for writing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._waiting, self._room = file, bytearray(), 0

    def write(self, data: bytes) -> None:
        """Append a payload."""
        if len(self._waiting) + len(data) <= _BUFFER:
            self._waiting += data
            return
        self._flush(1 << 62)
        self._file.write(data)

    def finish(self, index: Index) -> None:
        """Append the index, and write the header at the front."""
        tail = _dump(index)
        tail += len(tail).to_bytes(4, "little")
        length = sum(t.bytes for t in index.tensors.values()) + len(tail) + 4
        self._waiting += tail + zlib.crc32(tail).to_bytes(4, "little")
        self._flush(length)
        self._file.seek(0)
        self._file.write(self._room.to_bytes(8, "little") + _safetensors_header(length).ljust(self._room))

    def _flush(self, largest: int) -> None:
        if not self._room:  # for a length of as many digits as may come
            self._room = len(_safetensors_header(largest))
            self._file.write(bytes(8 + self._room))
        self._file.write(self._waiting)
        self._waiting.clear()


def _text(value: str) -> bytes:
    raw = value.encode()
    return varint(len(raw)) + raw


def _dump(index: Index) -> bytes:
    names = [*index.tensors, *index.same_as]
    order = {name: i for i, name in enumerate(index.tensors)}
    fields = varint(len(index.tensors)) + varint(len(index.same_as))
    fields += b"".join(map(_text, names))
    fields += bytes(DTYPES.index(t.dtype) for t in index.tensors.values())
    fields += b"".join(varint(len(t.shape)) + b"".join(map(varint, t.shape)) for t in index.tensors.values())
    fields += b"".join(varint(t.nonzero) + varint(t.bytes) for t in index.tensors.values())
    fields += b"".join(varint(order[other]) for other in index.same_as.values())
    if index.metadata or index.shape is not None:
        plain: dict[str, Any] = {"metadata": index.metadata}
        if index.shape is not None:
            s = index.shape
            plain["shape"] = {"integers": to_plain(s.integers), "buffers": list(s.buffers), "skipped": s.skipped}
        fields += _text(json.dumps(plain, separators=(",", ":")))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    return packer.compress(fields) + packer.flush() + b"".join(t.crc32.to_bytes(4, "little") for t in index.tensors.values())


def read_index(tail: Any, size: int) -> tuple[Index, int]:
    """The index, and where its bytes begin.

    Args:
        tail: a function from where to where, of the byte tensor, to its bytes.
        size: of the byte tensor.

    Raises:
        FormatError: damaged; without the name of the file.
    """
    try:
        if size < _TAIL:
            raise ValueError("too short")
        end = tail(size - _TAIL, size)
        length = int.from_bytes(end[:4], "little")
        if length > size - _TAIL:
            raise ValueError("too long")
        raw = tail(size - _TAIL - length, size - _TAIL)
        if zlib.crc32(end[:4], zlib.crc32(raw)) != int.from_bytes(end[4:], "little"):
            raise ValueError("checksum")
        index = _parse(raw)
        if sum(t.bytes for t in index.tensors.values()) + length + _TAIL != size:
            raise ValueError("lengths")
        return index, size - _TAIL - length
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as e:
        raise FormatError(f"has a damaged index ({e}); fetch or save the file again") from e


def _parse(raw: bytes) -> Index:
    unpacker = zlib.decompressobj(-15)
    reader = Reader(unpacker.decompress(raw, _LARGEST_INDEX))
    if not unpacker.eof:
        raise ValueError("it is cut off or too large")
    tensors, ties = reader.varint(reader.left), reader.varint(reader.left)
    names = [bytes(reader.take(reader.varint(reader.left))).decode() for _ in range(tensors + ties)]
    dtypes = [DTYPES[i] if i < len(DTYPES) else None for i in reader.take(tensors)]
    if None in dtypes or len(set(names)) != len(names) or len(unpacker.unused_data) != 4 * tensors:
        raise ValueError("a type is unknown, a name is there twice, or checksums are missing")
    shapes = [tuple(reader.varint() for _ in range(reader.varint(64))) for _ in range(tensors)]
    sizes = [(reader.varint(), reader.varint()) for _ in range(tensors)]
    owners = [names[reader.varint(tensors - 1)] for _ in range(ties)]
    sums = [int.from_bytes(unpacker.unused_data[4 * i : 4 * i + 4], "little") for i in range(tensors)]
    stored = {n: Stored(d, s, *z, c) for n, d, s, z, c in zip(names, dtypes, shapes, sizes, sums, strict=False) if d is not None}
    same_as = dict(zip(names[tensors:], owners, strict=True))
    plain: dict[str, Any] = {}
    if reader.left:
        plain = json.loads(bytes(reader.take(reader.varint(reader.left))).decode())
        reader.end()
    texts = {str(k): str(v) for k, v in plain.get("metadata", {}).items()}
    return Index(stored, same_as, texts, _shape(plain.get("shape"), names))


def _shape(fields: Any, names: list[str]) -> Shape | None:
    if fields is None:
        return None
    buffers, skipped = tuple(fields["buffers"]), dict(fields["skipped"])
    if not set(buffers) <= set(names) or not all(type(listed) is bool for listed in skipped.values()):
        raise ValueError("buffers or skipped")
    return Shape(from_plain(fields["integers"]), buffers, skipped)


def spans(index: Index) -> Iterator[tuple[str, Stored, int]]:
    """Each tensor and where its payload begins."""
    at = 0
    for name, stored in index.tensors.items():
        yield name, stored, at
        at += stored.bytes
