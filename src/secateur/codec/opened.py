"""A file that is open, of either kind: tensors as safetensors' own (format versions 1 and 2), or coded in one (version 3)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..core.errors import FormatError
from .coded import LAYOUT_NAMES, NOTHING, Parts
from .coded import unpack as unpack_payload
from .container import TENSOR, Index, read_index, spans
from .header import Entry, Header, Shape, crc32, parse
from .layouts import LAYOUTS, stored_as
from .meter import Meter
from .unpacked import Unpacked

__all__ = ["LIMIT", "File", "Row", "StoredTensor", "opened"]

LIMIT = 1 << 26  # bytes of tensors that a small file may declare where no model says how large they are


class StoredTensor(Protocol):
    """What a file says of a tensor."""

    @property
    def dtype(self) -> torch.dtype:
        """Its type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""


@dataclass(frozen=True)
class Row:
    """One tensor of a file.

    Attributes:
        name: its name in the model.
        shape: its shape.
        dtype: its type, without ``torch.``.
        layout: how it lies in the file; ``= other`` when it is another's tensor.
        nonzero: entries that are not zero.
        bytes: what it takes in the file; 0 when it is another's tensor.
        parts: of a compressed tensor, where the bytes go.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    nonzero: int
    bytes: int
    parts: Parts | None = None


class File(Protocol):
    """An open file."""

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """What it says of each tensor."""

    @property
    def same_as(self) -> Mapping[str, str]:
        """Names that stand for another's tensor."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The user's texts."""

    @property
    def shape(self) -> Shape | None:
        """What makes a shrunken model."""

    def decode(self, name: str) -> Tensor:
        """A tensor, its checksum verified."""

    def unpack(self, name: str) -> Unpacked:
        """The same, not yet as large as it is dense."""

    def row(self, name: str) -> Row:
        """What there is to say of a tensor."""


class _Plain:
    """Format versions 1 and 2."""

    def __init__(self, file: Any, header: Header) -> None:
        self._file, self._header = file, header
        self.tensors, self.same_as, self.metadata, self.shape = header.tensors, header.same_as, header.metadata, header.shape
        expected = {n for name, e in header.tensors.items() for n in stored_as(name, e.layout).values()}
        if expected != set(file.keys()):
            raise FormatError("does not hold the tensors that its metadata list; fetch or save the file again")

    def decode(self, name: str) -> Tensor:
        return self.unpack(name).tensor(self.tensors[name].dtype, self.tensors[name].shape)

    def unpack(self, name: str) -> Unpacked:
        entry = self.tensors[name]
        streams = self._streams(name, entry)
        found: Unpacked = _checked(name, lambda: LAYOUTS[entry.layout].unpack(streams, entry.dtype, entry.shape))
        return found

    def row(self, name: str) -> Row:
        entry = self.tensors[name]
        streams = self._streams(name, entry)
        size = sum(s.nbytes for s in streams.values())
        return Row(name, entry.shape, _name(entry.dtype), entry.layout, LAYOUTS[entry.layout].count(streams), size)

    def _streams(self, name: str, entry: Entry) -> dict[str, Tensor]:
        try:
            streams = {suffix: self._file.get_tensor(n) for suffix, n in stored_as(name, entry.layout).items()}
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as e:  # a type that torch does not have
            raise FormatError(f"is corrupt: {name!r} cannot be read ({e}); fetch or save the file again") from e
        if crc32(streams.values()) != entry.crc32:
            raise FormatError(f"is corrupt: the checksum of {name!r} does not match; fetch or save the file again")
        return streams


class _Coded:
    """Format version 3."""

    def __init__(self, file: Any) -> None:
        try:
            self._bytes = file.get_slice(TENSOR)
            shape, kind = self._bytes.get_shape(), self._bytes.get_dtype()
        except (SafetensorError, KeyError, AttributeError) as e:
            raise FormatError("does not hold the tensor that its version has; fetch or save the file again") from e
        if set(file.keys()) != {TENSOR} or len(shape) != 1 or kind != "U8":
            raise FormatError("does not hold the tensor that its version has; fetch or save the file again")
        self.index: Index
        self.index, _ = read_index(self._read, shape[0])
        self.tensors, self.same_as, self.metadata = self.index.tensors, self.index.same_as, self.index.metadata
        self.shape, self._size = self.index.shape, shape[0]
        self._at = {name: at for name, _, at in spans(self.index)}

    def _read(self, start: int, stop: int) -> bytes:
        return self._bytes[start:stop].numpy().tobytes() if stop > start else b""

    def payload(self, name: str) -> bytes:
        stored, at = self.tensors[name], self._at[name]
        data = self._read(at, at + stored.bytes)
        if zlib.crc32(data) != stored.crc32:
            raise FormatError(f"is corrupt: the checksum of {name!r} does not match; fetch or save the file again")
        return data

    def decode(self, name: str) -> Tensor:
        return self.unpack(name).tensor(self.tensors[name].dtype, self.tensors[name].shape)

    def unpack(self, name: str) -> Unpacked:
        stored, data = self.tensors[name], self.payload(name)
        found: Unpacked = _checked(name, lambda: unpack_payload(data, stored.nonzero, stored.dtype, stored.shape)[0])
        return found

    def row(self, name: str) -> Row:
        stored, data = self.tensors[name], self.payload(name)
        if not data and not stored.nonzero:
            return Row(name, stored.shape, _name(stored.dtype), "dense", 0, 0, NOTHING)
        if (declared := prod(stored.shape) * stored.dtype.itemsize) > LIMIT + 1000 * self._size:
            raise FormatError(f"declares {name!r} with {declared:,} bytes, too many to look at without a model; load it into one")
        meter = Meter()
        parts = _checked(name, lambda: unpack_payload(data, stored.nonzero, stored.dtype, stored.shape, meter)[1])
        return Row(
            name, stored.shape, _name(stored.dtype), LAYOUT_NAMES[data[0] >> 4], stored.nonzero, stored.bytes, meter.apart(parts)
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _checked(name: str, decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except FormatError:
        raise
    except (ValueError, OverflowError, MemoryError, RuntimeError) as e:  # the last are torch's for sizes that no machine has
        raise FormatError(f"is corrupt: {name!r} cannot be decoded ({e}); fetch or save the file again") from e


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[File]:
    """A file of any version that is known; every complaint becomes one sentence that begins with the file's name.

    Raises:
        FormatError: no such file, corrupt, truncated, not of this library, or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = parse(file.metadata())
            yield _Plain(file, header) if header is not None else _Coded(file)
    except FormatError as e:
        raise FormatError(f"{path} {e}") from e.__cause__
    except (SafetensorError, OSError) as e:
        raise FormatError(f"{path} is no intact safetensors file ({e}); fetch or save it again") from e
