"""``load`` and ``inspect_file``: read a file that ``save`` wrote, and trust nothing it says before checking."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..core.errors import FormatError
from ..graph.cut import as_before_on_failure
from ..graph.plan import is_shrunken
from .header import Entry, Header, Shape, crc32, parse
from .layouts import LAYOUTS, stored_as
from .reshape import shrink_to, skip_blocks
from .write import identity, module_state

__all__ = ["Row", "inspect_file", "load", "read_metadata", "read_shape"]


def load(path: str | os.PathLike[str], model: nn.Module, *, strict: bool = True) -> nn.Module:
    """Fill a plain model, in place, with what ``save`` wrote, and return it.

    The file of a shrunken model makes the model as small: its parameters stay the same objects and get smaller data, and
    the integers of its modules follow; blocks that are gone become the identity. Everything is read and checked before the
    first tensor of the model changes. Values go to the model's own devices.

    Args:
        path: a file that ``save`` wrote.
        model: a module of the class that was saved, as its constructor makes it; its tensors have the file's names and types.
        strict: whether names that only one of the two has are an error; otherwise the common ones are filled.

    Raises:
        FormatError: no such file, corrupt, truncated, not of this library, of a newer version, or of another model; the
            model is as it was.
        ModelError: the model has entries that no file can fill.

    Example:
        >>> import tempfile, torch
        >>> from secateur import save, shrink_
        >>> def mlp():
        ...     return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model = mlp()
        >>> _ = shrink_(model, torch.randn(2, 4), {"0": [1, 2, 5]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(model, folder + "/model.safetensors")
        ...     print(load(folder + "/model.safetensors", mlp())[0])
        Linear(in_features=4, out_features=5, bias=True)
    """
    with _opened(path) as (file, header), as_before_on_failure(getattr(model, "_orig_mod", model)):
        known = {**header.tensors, **{name: header.tensors[other] for name, other in header.same_as.items()}}
        shape = header.shape or Shape({}, (), {})
        skip_blocks(getattr(model, "_orig_mod", model), shape.skipped, strict=strict)
        inner, state = module_state(model)
        _check_model(inner, state, {n: e for n, e in known.items() if n not in shape.buffers}, strict, header.shape is not None)
        common = [*(n for n in state if n in known), *shape.buffers]
        values = {n: _decode(file, n, header.tensors[n]) for n in sorted({header.same_as.get(n, n) for n in common})}
        filled = OrderedDict((name, values[header.same_as.get(name, name)]) for name in state if name in known)
        filled._metadata = getattr(inner.state_dict(), "_metadata", {})  # type: ignore[attr-defined]  # some modules ask for their version
        _check_ties(state, filled)
        if header.shape is not None:
            hidden = {n: values[header.same_as.get(n, n)] for n in shape.buffers}
            shrink_to(inner, shape.integers, filled, hidden, strict=strict)
        inner.load_state_dict(filled, strict=strict and filled.keys() == state.keys())
    return model


def stored_types(path: str | os.PathLike[str]) -> dict[str, torch.dtype]:
    """The types of all tensors of a file, by the names they have in the model.

    Raises:
        FormatError: as ``load``.
    """
    with _opened(path) as (_, header):
        types = {name: entry.dtype for name, entry in header.tensors.items()}
        return {**types, **{name: types[other] for name, other in header.same_as.items()}}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that ``save`` was given to keep with the model.

    Raises:
        FormatError: as ``load``.
    """
    with _opened(path) as (_, header):
        return header.metadata


def read_shape(path: str | os.PathLike[str]) -> dict[str, tuple[int, int] | None] | None:
    """What shrinking has changed, and None for a model that is not shrunken.

    Returns:
        Name → the value of an integer before and after; None for a block that is gone.

    Raises:
        FormatError: as ``load``.
    """
    with _opened(path) as (_, header):
        if header.shape is None:
            return None
        return {**dict.fromkeys(header.shape.skipped), **{str(slot): sizes for slot, sizes in header.shape.integers.items()}}


@dataclass(frozen=True)
class Row:
    """One tensor of a file.

    Attributes:
        name: its name in the model.
        shape: its shape.
        dtype: its type, without ``torch.``.
        layout: how it lies in the file; ``= other`` when it is another's tensor.
        nonzero: entries that are not zero.
        bytes: what its streams take in the file; 0 when it is another's tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    nonzero: int
    bytes: int


def inspect_file(path: str | os.PathLike[str]) -> list[Row]:
    """One row for every tensor of a file, its checksum verified, without a model.

    Raises:
        FormatError: as ``load``.
    """
    rows = {}
    with _opened(path) as (file, header):
        for name, entry in header.tensors.items():
            streams = _streams(file, name, entry)
            size = sum(s.nbytes for s in streams.values())
            dtype = str(entry.dtype).removeprefix("torch.")
            rows[name] = Row(name, entry.shape, dtype, entry.layout, LAYOUTS[entry.layout].count(streams), size)
        for name, other in header.same_as.items():
            r = rows[other]
            rows[name] = Row(name, r.shape, r.dtype, f"= {other}", r.nonzero, 0)
    return list(rows.values())


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Header]]:
    """A safetensors file and its header; every complaint becomes one sentence that begins with the file's name."""
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = parse(file.metadata())
            expected = {n for name, e in header.tensors.items() for n in stored_as(name, e.layout).values()}
            if expected != set(file.keys()):
                raise FormatError("does not hold the tensors that its metadata list; fetch or save the file again")
            yield file, header
    except FormatError as e:
        raise FormatError(f"{path} {e}") from e.__cause__
    except (SafetensorError, OSError) as e:
        raise FormatError(f"{path} is no intact safetensors file ({e}); fetch or save it again") from e


def _streams(file: Any, name: str, entry: Entry) -> dict[str, Tensor]:
    try:
        streams = {suffix: file.get_tensor(n) for suffix, n in stored_as(name, entry.layout).items()}
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as e:  # a type that torch does not have
        raise FormatError(f"is corrupt: {name!r} cannot be read ({e}); fetch or save the file again") from e
    if crc32(streams.values()) != entry.crc32:
        raise FormatError(f"is corrupt: the checksum of {name!r} does not match; fetch or save the file again")
    return streams


def _decode(file: Any, name: str, entry: Entry) -> Tensor:
    try:
        return LAYOUTS[entry.layout].decode(_streams(file, name, entry), entry.dtype, entry.shape)
    except FormatError:
        raise
    except ValueError as e:
        raise FormatError(f"is corrupt: {name!r} cannot be decoded ({e}); fetch or save the file again") from e


def _check_model(model: nn.Module, state: Mapping[str, Tensor], known: Mapping[str, Entry], strict: bool, smaller: bool) -> None:
    """Names, shapes and types, before anything is allocated: no tensor decoded is larger than the model's own."""
    missing, unexpected = [n for n in state if n not in known], [n for n in known if n not in state]
    if strict and (missing or unexpected):
        parts = [f"{what} {_few(names)}" for what, names in (("it lacks", missing), ("it adds", unexpected)) if names]
        raise FormatError(f"holds another model: {' and '.join(parts)}; build the model that was saved, or pass strict=False")
    for name in state:
        if name not in known:
            continue
        mine, its = state[name], known[name]
        if tuple(mine.shape) != its.shape and not (smaller and _fits_in(its.shape, mine.shape)):
            mend = "; the model given is shrunken: give a newly made one" if is_shrunken(model) else ""
            raise FormatError(
                f"holds another model: {name!r} is {its.shape} in the file and {tuple(mine.shape)} in the model{mend}"
            )
        if mine.dtype != its.dtype:
            raise FormatError(
                f"has {name!r} as {its.dtype} and the model as {mine.dtype}; convert the model with .to({its.dtype})"
            )


def _fits_in(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) == len(large) and all(a <= b for a, b in zip(small, large, strict=True))


def _check_ties(state: Mapping[str, Tensor], filled: Mapping[str, Tensor]) -> None:
    """A tensor that the model has under two names gets one value."""
    first: dict[tuple[Any, ...], str] = {}
    for name in filled:
        other = first.setdefault(identity(state[name]), name) if state[name].numel() else name
        a, b = filled[name], filled[other]
        if a is not b and (a.shape != b.shape or crc32([a.contiguous()]) != crc32([b.contiguous()])):
            raise FormatError(f"holds two tensors for {other!r} and {name!r}, which are one in the model; untie them first")


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
