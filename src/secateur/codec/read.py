"""``load`` and ``inspect_file``: read a file of any version, and trust nothing it says before checking."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import FormatError
from ..graph.cut import as_before_on_failure
from ..graph.plan import is_shrunken
from .fill import Found, fill
from .header import Shape, crc32
from .opened import File, Row, StoredTensor, opened
from .reshape import shrink_to, skip_blocks
from .write import identity, module_state

__all__ = ["inspect_file", "load", "read_metadata", "read_shape", "stored_types"]


def load(path: str | os.PathLike[str], model: nn.Module, *, strict: bool = True) -> nn.Module:
    """Fill a plain model, in place, with what ``save`` or ``compress`` wrote, and return it.

    The file of a shrunken model makes the model as small: its parameters stay the same objects and get smaller data, and
    the integers of its modules follow; blocks that are gone become the identity. Everything is read and checked before the
    first tensor of the model changes, and no more of it is held than a quarter of the dense model: memory peaks at about 1.4
    times the model at 90 % sparsity, the model in it. Values go to the model's own devices.

    Args:
        path: a file that ``save`` or ``compress`` wrote.
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
    with opened(path) as file, as_before_on_failure(getattr(model, "_orig_mod", model)):
        known = {**file.tensors, **{name: file.tensors[other] for name, other in file.same_as.items()}}
        shape = file.shape or Shape({}, (), {})
        skip_blocks(getattr(model, "_orig_mod", model), shape.skipped, strict=strict)
        inner, state = module_state(model)
        _check_model(inner, state, {n: e for n, e in known.items() if n not in shape.buffers}, strict, file.shape is not None)
        common = [n for n in state if n in known]
        _check_ties(state, common, file)
        found = Found(file, [*common, *shape.buffers])
        if file.shape is not None:
            hidden = {n: found.tensor(n) for n in shape.buffers}
            shrink_to(inner, shape.integers, {n: known[n].shape for n in common}, hidden, strict=strict)
        filled = fill(inner, common, found)
        inner.load_state_dict(filled, strict=strict and filled.keys() == state.keys())
    return model


def stored_types(path: str | os.PathLike[str]) -> dict[str, torch.dtype]:
    """The types of all tensors of a file, by the names they have in the model.

    Raises:
        FormatError: as ``load``.
    """
    with opened(path) as file:
        types = {name: entry.dtype for name, entry in file.tensors.items()}
        return {**types, **{name: types[other] for name, other in file.same_as.items()}}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that ``save`` or ``compress`` was given to keep with the model.

    Raises:
        FormatError: as ``load``.
    """
    with opened(path) as file:
        return dict(file.metadata)


def read_shape(path: str | os.PathLike[str]) -> dict[str, tuple[int, int] | None] | None:
    """What shrinking has changed, and None for a model that is not shrunken.

    Returns:
        Name → the value of an integer before and after; None for a block that is gone.

    Raises:
        FormatError: as ``load``.
    """
    with opened(path) as file:
        if file.shape is None:
            return None
        return {**dict.fromkeys(file.shape.skipped), **{str(slot): sizes for slot, sizes in file.shape.integers.items()}}


def inspect_file(path: str | os.PathLike[str]) -> list[Row]:
    """One row for every tensor of a file, its checksum verified, without a model.

    Raises:
        FormatError: as ``load``; or the tensors are too large to be looked at without a model.
    """
    with opened(path) as file:
        rows = {name: file.row(name) for name in file.tensors}
        for name, other in file.same_as.items():
            rows[name] = replace(rows[other], name=name, layout=f"= {other}", bytes=0, parts=None)
        return list(rows.values())


def _check_model(
    model: nn.Module, state: Mapping[str, Tensor], known: Mapping[str, StoredTensor], strict: bool, smaller: bool
) -> None:
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


def _check_ties(state: Mapping[str, Tensor], filled: Iterable[str], file: File) -> None:
    """A tensor that the model has under two names gets one value."""
    first: dict[tuple[Any, ...], str] = {}
    for name in filled:
        other = first.setdefault(identity(state[name]), name) if state[name].numel() else name
        a, b = (file.same_as.get(n, n) for n in (name, other))
        if a != b and (file.tensors[a].shape != file.tensors[b].shape or crc32([file.decode(a)]) != crc32([file.decode(b)])):
            raise FormatError(f"holds two tensors for {other!r} and {name!r}, which are one in the model; untie them first")


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
