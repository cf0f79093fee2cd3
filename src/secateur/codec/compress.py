"""``compress``: a model in the smallest file, without loss."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..core.errors import ModelError, did_you_mean
from ..core.files import atomic_write
from .coded import LAYOUT_NAMES, Wish, encode
from .container import DTYPES, Body, Index, Stored
from .context import WORK
from .header import Shape
from .write import gather, text

__all__ = ["CODERS", "Share", "compress", "write_tensors"]

CODERS = ("range", "rans", "huffman", "none")
T = TypeVar("T")


class Share(Protocol):
    """Weight sharing: makes of each tensor one of few distinct values."""

    def quantise(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor with its entries that are not zero replaced by those of a codebook; itself where none is wanted."""


def compress(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    masks: Mapping[str, Tensor] | None = None,
    share: Share | None = None,
    coder: str = "range",
    layout: str | Mapping[str, str] | None = None,
    index_bits: int | Mapping[str, int] | None = None,
    finite: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model to the smallest file that :func:`load` reads, every tensor bit for bit.

    Each tensor lies in the layout that is smallest for it: dense, a bitmask, gaps, blocks, n of m, or a scan by contexts; a
    tensor of few distinct values as a codebook and numbers in it. What is said of :func:`save` holds: −0.0 in a sparse
    tensor becomes +0.0, the file is complete or not there, equal models give equal files.

    Args:
        model: any module.
        path: the file to write; its folder must exist.
        masks: by ``state_dict`` name, tensors of the tensor's shape that are zero where an entry is removed.
        share: weight sharing to apply before, the one lossy step; None when the weights are shared
            already, or shall not be.
        coder: ``range``: the fewest bytes, contexts for the first two million decisions of a file, some seconds' work, and
            asymmetric numeral systems for the rest; ``rans``: the latter alone, quick for all; ``huffman``: as in Deep
            Compression; ``none``: no entropy coding.
        layout: one of ``dense``, ``bitmask``, ``gaps``, ``blocks``, ``n:m``, ``context``, for all tensors of two
            dimensions or more that it fits, or by patterns of names; None for the smallest.
        index_bits: bits of a gap, 1 to 8, or by patterns of names, which asks for gaps; None for the best.
        finite: refuse NaN and infinities; otherwise they are kept.
        metadata: texts to keep with the model, as :func:`save` takes them.

    Returns:
        The path.

    Raises:
        ModelError: an option is none, a mask fits no tensor, or the state holds something that no file can, or that ``finite``
            refuses.
        RunError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from secateur.codec import load
        >>> model, mask = nn.Linear(64, 64), torch.eye(64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = compress(model, folder + "/model.safetensors", masks={"weight": mask})
        ...     small = load(path, nn.Linear(64, 64))
        >>> torch.equal(small.weight, model.weight * mask)
        True

    Source: Han, Mao and Dally 2016 (gaps, codebooks, Huffman's code).
    """
    shape, tensors = gather(model, masks or {})
    texts = {str(k): text(v) for k, v in (metadata or {}).items()}
    if share is not None:
        tensors = ((name, _shared(share, name, value) if owner is None else value, owner) for name, value, owner in tensors)
    return write_tensors(tensors, path, shape, texts, coder, layout, index_bits, finite)


def write_tensors(
    tensors: Iterable[tuple[str, Tensor, str | None]],
    path: str | os.PathLike[str],
    shape: Shape | None,
    texts: Mapping[str, str],
    coder: str = "range",
    layout: str | Mapping[str, str] | None = None,
    index_bits: int | Mapping[str, int] | None = None,
    finite: bool = False,
) -> Path:
    """Write tensors one after the other, as :func:`compress`; each with its name, and the name that has the same one."""
    _check(coder, layout, index_bits)
    index = Index({}, {}, dict(texts), shape)
    with atomic_write(Path(path)) as file:
        body, left = Body(file), WORK
        for name, value, owner in tensors:
            if owner is not None:
                index.same_as[name] = owner
                continue
            _check_tensor(name, value, finite)
            lies = _for(name, layout)
            wish = Wish(coder, lies, _for(name, index_bits), WORK if lies else left)
            payload = encode(value.detach().cpu().contiguous(), wish)
            left -= payload.work
            body.write(payload.data)
            crc = zlib.crc32(payload.data)
            index.tensors[name] = Stored(value.dtype, tuple(value.shape), payload.nonzero, len(payload.data), crc)
        body.finish(index)
    return Path(path)


def _shared(share: Share, name: str, value: Tensor) -> Tensor:
    found = share.quantise(name, value)
    if found.shape != value.shape or found.dtype != value.dtype:
        before, after = (f"{tuple(t.shape)} {t.dtype}" for t in (value, found))
        raise ModelError(f"sharing made {after} of {name!r}, which is {before}; keep shape and type")
    return found


def _for(name: str, option: T | Mapping[str, T] | None) -> T | None:
    """An option for a tensor: the first pattern that its name matches."""
    if not isinstance(option, Mapping):
        return option
    return next((value for pattern, value in option.items() if fnmatchcase(name, pattern)), None)


def _check(coder: str, layout: Any, index_bits: Any) -> None:
    if coder not in CODERS:
        raise ModelError(f"there is no coder {coder!r}; {did_you_mean(coder, CODERS)}")
    for value in layout.values() if isinstance(layout, Mapping) else (layout,):
        if value is not None and value not in LAYOUT_NAMES:
            raise ModelError(f"there is no layout {value!r}; {did_you_mean(value, LAYOUT_NAMES)}")
        if value == "context" and coder != "range":
            raise ModelError(f"the layout 'context' is coded by coder='range'; got coder={coder!r}")
    for bits in index_bits.values() if isinstance(index_bits, Mapping) else (index_bits,):
        if bits is not None and (type(bits) is not int or not 1 <= bits <= 8):
            raise ModelError(f"index_bits must be a whole number from 1 to 8; got {bits!r}")


def _check_tensor(name: str, value: Tensor, finite: bool) -> None:
    if value.dtype not in DTYPES:
        raise ModelError(f"{name!r} is {value.dtype}, which no safetensors file holds; convert it, for example with .float()")
    if (
        finite
        and value.dtype.is_floating_point
        and not bool(torch.isfinite(value.float() if value.itemsize < 2 else value).all())
    ):
        raise ModelError(f"{name!r} holds NaN or infinity; mend it, or compress with finite=False, which keeps them")
