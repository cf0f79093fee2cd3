"""CIFAR's python batches are pickles; they are read here without running anything a pickle could name.

The three names a batch uses stand for inert classes of this file, so neither NumPy nor any other code is handed
unchecked pickle content.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import FormatError

__all__ = ["read_python_batch"]


class _DType:
    """Stands for ``numpy.dtype``; only uint8 is accepted."""

    __slots__ = ()

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1", "uint8", b"uint8"):
            raise pickle.UnpicklingError(f"element type {code!r} is not uint8")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: nothing that matters for single bytes."""


class _Array:
    """Stands for ``numpy.ndarray``: the checked shape and bytes."""

    __slots__ = ("value",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType) or fortran or not isinstance(data, bytes | str):
            raise pickle.UnpicklingError("array is not a plain uint8 array in row order")
        raw = data.encode("latin-1") if isinstance(data, str) else data
        self.value = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _Reconstruct:
    """Stands for ``numpy's _reconstruct``; without attributes, so a pickle cannot change it."""

    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


class _Unpickler(pickle.Unpickler):
    _ALLOWED: dict[tuple[str, str], object] = {  # noqa: RUF012 - read only
        ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
        ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
        ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
        ("numpy", "dtype"): _DType,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which a CIFAR batch never does") from None


def _check_opcodes(raw: bytes) -> None:
    """Refuse a memo index or a length that would make the unpickler reserve memory the file does not have."""
    for count, (opcode, value, _) in enumerate(pickletools.genops(raw)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(value or 0) > count:
            raise pickle.UnpicklingError(f"memo index {value} is beyond what the file has")


def read_python_batch(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pictures ``[n, 3, 32, 32]`` and labels ``[n]`` of one python batch.

    Raises:
        FormatError: not a batch, truncated, or naming anything but a uint8 array; nothing of it has been run.
    """
    try:
        raw = path.read_bytes()
        _check_opcodes(raw)
        batch = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
        fields = {k.decode() if isinstance(k, bytes) else k: v for k, v in batch.items()}
        images = fields["data"].value.reshape(-1, 3, 32, 32)
        return images, np.array(fields["labels"], dtype=np.int64).reshape(-1)
    except Exception as e:  # a hostile stream can raise anything; all of it means the same
        raise FormatError(f"{path} is not a CIFAR python batch ({type(e).__name__}: {e}); fetch it again") from e
