"""The ways a tensor can lie in the file: one entry a layout, and the smallest that fits is taken.

To add one, write its pair of functions and put it in ``LAYOUTS``; old files keep their meaning, and a reader that does
not know a layout says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from . import bitmask
from .unpacked import Unpacked

__all__ = ["LAYOUTS", "Layout", "encode", "stored_as"]

_ENTRY = 100  # bytes that one more tensor costs in the header of the file, about


@dataclass(frozen=True)
class Layout:
    """How a tensor becomes streams and a tensor again.

    Attributes:
        streams: suffixes of the stored tensors' names; the empty one is the tensor's own name.
        encode: the streams of a contiguous CPU tensor by suffix, or None when the layout does not take it.
        unpack: what makes the tensor of this type and shape; ValueError when the streams do not belong together.
        count: the entries that are not zero, from the streams, at no more memory than they take.
    """

    streams: tuple[str, ...]
    encode: Callable[[Tensor], dict[str, Tensor] | None]
    unpack: Callable[[Mapping[str, Tensor], torch.dtype, tuple[int, ...]], Unpacked]
    count: Callable[[Mapping[str, Tensor]], int]


def _unpack_dense(streams: Mapping[str, Tensor], dtype: torch.dtype, shape: tuple[int, ...]) -> Unpacked:
    tensor = streams[""]
    if tensor.dtype != dtype or tuple(tensor.shape) != shape:
        raise ValueError(f"the stored tensor is {tensor.dtype} {tuple(tensor.shape)}")
    return Unpacked(slice(None), _flat_bytes(tensor), 0)  # the file's own pages


def _encode_bitmask(tensor: Tensor) -> dict[str, Tensor] | None:
    if tensor.dtype not in bitmask.SUPPORTED or tensor.nbytes <= _ENTRY:
        return None
    bits, values = bitmask.pack(tensor)
    return {".bitmask": bits, ".nonzero": values}


def _unpack_bitmask(streams: Mapping[str, Tensor], dtype: torch.dtype, shape: tuple[int, ...]) -> Unpacked:
    bits, values = streams[".bitmask"], streams[".nonzero"]
    if values.dtype != dtype:
        raise ValueError(f"the stored values are {values.dtype}")
    places = bitmask.places(bits, values, prod(shape))
    return Unpacked(places, _flat_bytes(values).view(f"u{dtype.itemsize}"), 0)


def _flat_bytes(tensor: Tensor) -> Any:
    return tensor.reshape(-1).view(torch.uint8).numpy()


LAYOUTS: dict[str, Layout] = {
    "dense": Layout(("",), lambda tensor: {"": tensor}, _unpack_dense, lambda s: bitmask.count(s[""])),
    "bitmask": Layout((".bitmask", ".nonzero"), _encode_bitmask, _unpack_bitmask, lambda s: s[".nonzero"].numel()),
}


def encode(tensor: Tensor) -> tuple[str, dict[str, Tensor]]:
    """The name and the streams of the smallest layout; the earlier one of equals.

    Args:
        tensor: contiguous, on the CPU.

    Example:
        >>> encode(torch.zeros(1000))[0], encode(torch.ones(1000))[0]
        ('bitmask', 'dense')
    """
    found = ((name, layout.encode(tensor)) for name, layout in LAYOUTS.items())
    fitting = [(name, streams) for name, streams in found if streams is not None]
    return min(fitting, key=lambda f: sum(s.nbytes + _ENTRY for s in f[1].values()))


def stored_as(name: str, layout: str) -> dict[str, str]:
    """The names in the file of a tensor's streams, by suffix.

    Example:
        >>> stored_as("fc.weight", "bitmask")
        {'.bitmask': 'fc.weight.bitmask', '.nonzero': 'fc.weight.nonzero'}
    """
    return {suffix: name + suffix for suffix in LAYOUTS[layout].streams}
