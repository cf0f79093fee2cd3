"""A kernel's job as the array that its code reads."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_bits", "make_job"]


def as_bits(value: float) -> int:
    """The bits of a float32.

    Example:
        >>> hex(as_bits(1.0))
        '0x3f800000'
    """
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def make_job(fields: Sequence[str], **values: Any) -> NDArray[np.int64]:
    """Fields in the kernel's order: numbers as they are, arrays as their addresses (the caller keeps them), None as null."""
    names = [f.lstrip("*") for f in fields]
    assert sorted(names) == sorted(values), sorted(set(names) ^ set(values))
    words = [values[n] for n in names]
    return np.array([w.ctypes.data if isinstance(w, np.ndarray) else 0 if w is None else int(w) for w in words], np.int64)
