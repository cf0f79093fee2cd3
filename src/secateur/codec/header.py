"""What the metadata of a file say: which tensors there are, how each lies in the file, and their checksums.

One metadata entry, ``secateur``, holds a JSON object (one entry, because the order of several is not fixed and equal
models must give equal files)::

    {"format_version": "1", "library_version": "0.1.0", "checksum": "<crc32 of the canonical JSON of tensors>",
     "tensors": {"fc.weight": {"layout": "bitmask", "dtype": "float32", "shape": [300, 784], "crc32": "89abcdef"},
                 "head.weight": {"same_as": "fc.weight"}},
     "metadata": {"recipe": "{...}"}}

The file of a shrunken model has format version 2. It says which integers of the modules differ from what the constructor
makes, module, keys, before and after; which of the tensors are buffers that are in no ``state_dict``; and which blocks are
gone, with whether they gave a tuple back::

    "shape": {"integers": [["fc", ["out_features"], 500, 300]], "buffers": ["rotary.frequencies"], "skipped": {"layers.3": false}}
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.errors import FormatError
from ..graph.plan import Changes, from_plain, to_plain
from .layouts import LAYOUTS

__all__ = ["FORMAT_VERSION", "KEY", "Entry", "Header", "Shape", "crc32", "dump", "parse"]

KEY = "secateur"
FORMAT_VERSION = "3"  # the newest that is read; ``save`` writes 1, of a model that was shrunken 2, and ``compress`` 3


@dataclass(frozen=True)
class Entry:
    """How one tensor lies in the file."""

    layout: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    crc32: str


@dataclass(frozen=True)
class Shape:
    """What makes a shrunken model of a dense one: integers of modules, buffers in no ``state_dict``, blocks that are gone."""

    integers: Changes
    buffers: tuple[str, ...]
    skipped: dict[str, bool]


@dataclass(frozen=True)
class Header:
    """The tensors stored, the names that stand for another's tensor, the user's texts, and the shape of a shrunken model."""

    tensors: dict[str, Entry]
    same_as: dict[str, str]
    metadata: dict[str, str]
    library_version: str = ""
    shape: Shape | None = None


def crc32(streams: Iterable[Tensor]) -> str:
    """CRC-32 over the bytes of contiguous CPU tensors, as eight hexadecimal digits.

    Example:
        >>> crc32([torch.tensor([1, 2, 3], dtype=torch.uint8)])
        '55bc801d'
    """
    value = 0
    for stream in streams:
        if stream.numel():
            value = zlib.crc32(stream.detach().reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def dump(header: Header) -> dict[str, str]:
    """The metadata of the file, the same text for the same header."""
    tensors: dict[str, Any] = {
        name: {"layout": e.layout, "dtype": str(e.dtype).removeprefix("torch."), "shape": list(e.shape), "crc32": e.crc32}
        for name, e in header.tensors.items()
    }
    tensors.update({name: {"same_as": other} for name, other in header.same_as.items()})
    shape: dict[str, Any] | None = None
    if header.shape is not None:
        plain = to_plain(header.shape.integers)
        shape = {"integers": plain, "buffers": list(header.shape.buffers), "skipped": header.shape.skipped}
    fields = {"format_version": "2" if shape else "1", "library_version": header.library_version,
              "checksum": _checksum(tensors, shape), "tensors": tensors, "metadata": header.metadata}  # fmt: skip
    if shape:
        fields["shape"] = shape
    return {KEY: json.dumps(fields, separators=(",", ":"))}


def parse(metadata: Mapping[str, str] | None) -> Header | None:
    """The header that ``dump`` wrote, every field checked; None of a file of version 3, whose index is elsewhere.

    Raises:
        FormatError: not of this library, of a newer version, or damaged; without the name of the file.
    """
    if not metadata or KEY not in metadata:
        raise FormatError("is a safetensors file that secateur did not write; load it with safetensors.torch.load_model")
    try:
        fields = json.loads(metadata[KEY])
        version = fields["format_version"]
        if isinstance(version, str) and version.isdecimal() and len(version) < 9 and int(version) > int(FORMAT_VERSION):
            raise FormatError(f"has format version {version}; this release reads up to {FORMAT_VERSION}: update secateur")
        if version == "3":
            return None
        if version not in ("1", "2") or (fields.get("shape") is None) == (version == "2"):
            raise ValueError("format version")
        tensors, shape = fields["tensors"], fields.get("shape")
        if fields["checksum"] != _checksum(tensors, shape):
            raise ValueError("checksum")
        same_as = {name: t["same_as"] for name, t in tensors.items() if "same_as" in t}
        entries = {name: _entry(t) for name, t in tensors.items() if "same_as" not in t}
        if not all(other in entries for other in same_as.values()):
            raise ValueError("same_as")
        texts = {str(k): str(v) for k, v in fields["metadata"].items()}
        return Header(entries, same_as, texts, str(fields["library_version"]), _shape(shape, tensors))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        if isinstance(e, FormatError):
            raise
        raise FormatError("has damaged secateur metadata; fetch or save the file again") from e


def _entry(fields: Mapping[str, Any]) -> Entry:
    layout, shape, dtype = fields["layout"], fields["shape"], getattr(torch, fields["dtype"])
    if layout not in LAYOUTS:
        raise FormatError(f"uses the layout {layout!r}, which this release does not know ({', '.join(LAYOUTS)}): update secateur")
    if not isinstance(dtype, torch.dtype) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("dtype or shape")
    return Entry(layout, dtype, tuple(shape), str(fields["crc32"]))


def _shape(fields: Any, tensors: Mapping[str, Any]) -> Shape | None:
    if fields is None:
        return None
    buffers = tuple(fields["buffers"])
    skipped = dict(fields["skipped"])
    if not all(name in tensors for name in buffers) or not all(type(listed) is bool for listed in skipped.values()):
        raise ValueError("buffers or skipped")
    return Shape(from_plain(fields["integers"]), buffers, skipped)


def _checksum(tensors: Any, shape: Any = None) -> str:
    canonical = json.dumps(tensors if shape is None else [tensors, shape], sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(canonical.encode()):08x}"
