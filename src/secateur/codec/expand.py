"""``expand``: a file of any kind as a plain safetensors file; and plain files as what ``compress`` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..core.errors import FormatError
from ..core.files import atomic_write
from .compress import write_tensors
from .header import KEY
from .opened import LIMIT, File, opened

__all__ = ["compress_file", "expand"]

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL", torch.uint16: "U16",
    torch.uint32: "U32", torch.uint64: "U64", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
}  # fmt: skip


def expand(path: str | os.PathLike[str], to: str | os.PathLike[str], *, limit: int | None = LIMIT) -> Path:
    """Write the tensors of a file as a plain safetensors file, one after the other, under their names in the model.

    A tensor under several names is written under each. The user's texts go with it; what makes a shrunken model does not.

    Args:
        path: a file that ``save`` or ``compress`` wrote.
        to: the file to write.
        limit: bytes of tensors that are written at most, beside a thousand times the file's own; None for any number.

    Returns:
        The path written.

    Raises:
        FormatError: as :func:`load`, or the file declares more than the limit.
        RunError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from secateur.codec import save
        >>> from safetensors.torch import load_file
        >>> model = torch.nn.Linear(2, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(model, folder + "/small.safetensors")
        ...     state = load_file(expand(folder + "/small.safetensors", folder + "/plain.safetensors"))
        >>> torch.equal(state["weight"], model.weight)
        True
    """
    path, to = Path(path), Path(to)
    with opened(path) as file, atomic_write(to) as out:
        names = {name: file.same_as.get(name, name) for name in (*file.tensors, *file.same_as)}
        header: dict[str, Any] = {"__metadata__": dict(file.metadata)} if file.metadata else {}
        at = 0
        for name, owner in names.items():
            entry = file.tensors[owner]
            size = prod(entry.shape) * entry.dtype.itemsize
            header[name] = {"dtype": _NAMES[entry.dtype], "shape": list(entry.shape), "data_offsets": [at, at + size]}
            at += size
        if limit is not None and at > limit + 1000 * path.stat().st_size:
            raise FormatError(f"declares {at:,} bytes of tensors; pass limit=None if you trust it")
        head = json.dumps(header, separators=(",", ":")).encode()
        head += b" " * (-len(head) % 8)
        out.write(len(head).to_bytes(8, "little") + head)
        for owner in names.values():
            out.write(file.decode(owner).reshape(-1).view(torch.uint8).numpy().data)
    return to


def compress_file(path: str | os.PathLike[str], to: str | os.PathLike[str], **options: Any) -> Path:
    """Write the tensors of a safetensors file, plain or of this library, as :func:`compress` would.

    Args:
        path: the file.
        to: the file to write.
        options: as of :func:`compress`: ``coder``, ``layout``, ``index_bits``, ``finite``.

    Returns:
        The path written.

    Raises:
        FormatError: it is no intact safetensors file.
        ModelError: an option is none.
        RunError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"a": torch.eye(100)}, folder + "/plain.safetensors")
        ...     compress_file(folder + "/plain.safetensors", folder + "/small.safetensors").stat().st_size < 250
        True
    """
    try:
        with safe_open(Path(path), framework="pt", device="cpu") as plain:
            texts = plain.metadata() or {}
            if KEY not in texts:
                return write_tensors(((n, plain.get_tensor(n), None) for n in plain.keys()), to, None, texts, **options)  # noqa: SIM118
    except (SafetensorError, OSError) as e:
        raise FormatError(f"{path} is no intact safetensors file ({e}); give one") from e
    with opened(path) as file:
        return write_tensors(_tensors(file), to, file.shape, file.metadata, **options)


def _tensors(file: File) -> Iterator[tuple[str, Tensor, str | None]]:
    for name in file.tensors:
        yield name, file.decode(name), None
    for name, other in file.same_as.items():
        yield name, torch.empty(0), other
