"""The idx format of MNIST, plain or gzip: a magic number, the lengths, the bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch
from torch import Tensor

from ...core.errors import FormatError

__all__ = ["read_idx"]

_LIMIT = 1 << 30  # bytes; a header that asks for more is a corrupt one, and must not be obeyed


def read_idx(path: Path, ndim: int) -> Tensor:
    """A uint8 tensor from an idx file.

    Args:
        path: the file; gzip when its name ends in ``.gz``.
        ndim: how many dimensions it must have (3 for pictures, 1 for labels).

    Raises:
        FormatError: wrong magic number, wrong length, or broken gzip.

    Source: Y. LeCun, C. Cortes, "The MNIST database of handwritten digits", file format section.
    """
    try:
        with cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, ndim)
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise FormatError(f"{path} is not a whole gzip file ({e}); fetch it again") from e


def _parse(file: BinaryIO, path: Path, ndim: int) -> Tensor:
    header = file.read(4 + 4 * ndim)
    magic = bytes((0, 0, 8, ndim))
    if header[:4] != magic:
        raise FormatError(
            f"{path} must begin with {magic.hex()} (idx, uint8, {ndim} dimensions); got {header[:4].hex() or 'nothing'}"
        )
    if len(header) < 4 + 4 * ndim:
        raise FormatError(f"{path} is truncated: its header has {len(header)} of {4 + 4 * ndim} bytes; fetch it again")
    shape = struct.unpack(f">{ndim}I", header[4:])
    size = math.prod(shape)
    if size > _LIMIT:
        raise FormatError(f"{path} claims {size} bytes of data, more than the {_LIMIT} accepted; fetch it again")
    body = file.read(size + 1)
    if len(body) != size:
        got = f"only {len(body)}" if len(body) < size else "more"
        raise FormatError(f"{path} must hold {size} bytes after its header {shape}; got {got}; fetch it again")
    return torch.from_numpy(np.frombuffer(bytearray(body), dtype=np.uint8).reshape(shape))
