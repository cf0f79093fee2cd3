"""``save``: a model's state as one small safetensors file, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core.errors import ModelError
from ..core.files import atomic_path
from ..graph.plan import is_shrunken, noted
from ..graph.skip import skipped
from .header import Entry, Header, Shape, crc32, dump
from .layouts import encode, stored_as

__all__ = ["check_masks", "file_size", "gather", "identity", "module_state", "save", "text"]


def save(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    masks: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write every tensor of ``model.state_dict()`` to one safetensors file, sparse ones as bitmask and values.

    The file is complete under its name or not there: it is written beside it and renamed. Equal models give equal
    files. Nothing in it is pickled. In tensors stored sparse −0.0 becomes +0.0; everything else is kept bit for bit.
    With a model that was shrunken, once or several times, go the integers that changed, the blocks that are gone, and the
    buffers that ``state_dict`` leaves out.

    Args:
        model: any module; what ``torch.compile`` returned is saved under the names of the module inside.
        path: the file to write; its folder must exist.
        masks: by ``state_dict`` name, tensors of the tensor's shape that are zero where an entry is removed.
        metadata: texts to keep with the model; a value with ``to_dict()`` (a recipe), a mapping or a list is kept as JSON.

    Raises:
        ModelError: a mask fits no tensor, or the state holds something that no safetensors file can.
        RunError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from secateur.codec import load
        >>> model, mask = nn.Linear(3, 3), torch.eye(3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(model, folder + "/model.safetensors", masks={"weight": mask})
        ...     small = load(folder + "/model.safetensors", nn.Linear(3, 3))
        >>> torch.equal(small.weight, model.weight * mask)
        True
    """
    path = Path(path)
    tensors, header = _encode(model, masks or {}, metadata or {})
    with atomic_path(path) as part:
        try:
            save_file(tensors, part, metadata=dump(header))
        except SafetensorError as e:
            raise OSError(str(e)) from e


def file_size(model: nn.Module) -> int:
    """Bytes of the file that ``save`` would write, found by writing it to a temporary folder.

    Raises:
        ModelError: as ``save``.
        RunError: as ``save``.
    """
    with tempfile.TemporaryDirectory(prefix="secateur-") as folder:
        path = Path(folder) / "model.safetensors"
        save(model, path)
        return path.stat().st_size


def module_state(model: nn.Module) -> tuple[nn.Module, dict[str, Tensor]]:
    """The module behind ``torch.compile`` and its state, all of it tensors with values.

    Raises:
        ModelError: an entry is no strided tensor, has no value, or has a name that safetensors keeps for itself.
    """
    inner = getattr(model, "_orig_mod", model)
    state = inner.state_dict()
    for name, value in state.items():
        _check_plain(name, value)
    return inner, dict(state)


def _check_plain(name: str, value: Any) -> None:
    if nn.parameter.is_lazy(value):
        raise ModelError(f"{name!r} of a lazy layer has no size yet; run the model on an example first")
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        raise ModelError(f"the state entry {name!r} is no plain tensor ({type(value).__name__}); only those can be stored")
    if value.is_meta:
        raise ModelError(f"{name!r} is on the meta device and has no values; give them room first with model.to_empty()")
    if name == "__metadata__":
        raise ModelError("a state entry is called '__metadata__', which safetensors keeps for itself; rename it")


def identity(tensor: Tensor) -> tuple[Any, ...]:
    """What two names of one tensor have in common."""
    return (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)


def gather(model: nn.Module, masks: Mapping[str, Tensor]) -> tuple[Shape | None, Iterator[tuple[str, Tensor, str | None]]]:
    """What makes a shrunken model, and each tensor to be stored: its name, its masked value, and the name that has the same one.

    Raises:
        ModelError: a mask fits no tensor, or the state holds something that no file can.
    """
    inner, state = module_state(model)
    check_masks(masks, state)
    shape, hidden = None, {}
    if is_shrunken(inner):
        hidden = {n: b for n, b in inner.named_buffers(remove_duplicate=False) if n not in state}
        for name, value in hidden.items():
            _check_plain(name, value)
        shape = Shape(noted(inner), tuple(hidden), skipped(inner))
    return shape, _tensors(state, hidden, masks)


def _tensors(
    state: Mapping[str, Tensor], hidden: Mapping[str, Tensor], masks: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, str | None]]:
    first: dict[tuple[Any, ...], str] = {}
    masked: dict[tuple[Any, ...], list[Tensor]] = {}
    for name, mask in masks.items():
        masked.setdefault(identity(state[name]), []).append(mask)
    for name, value in {**state, **hidden}.items():
        key = _content(value) if name in hidden else identity(value)
        owner = first.setdefault(key, name) if value.numel() else name
        tensor = value.detach()
        for mask in masked.get(identity(value), ()) if owner == name else ():
            tensor = torch.where(mask.to(tensor.device) != 0, tensor, torch.zeros_like(tensor))
        yield name, tensor, None if owner == name else owner


def _encode(model: nn.Module, masks: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> tuple[dict[str, Tensor], Header]:
    shape, found = gather(model, masks)
    tensors = {name: (value, owner) for name, value, owner in found}
    stored: dict[str, Tensor] = {}
    header = Header({}, {}, {str(k): text(v) for k, v in metadata.items()}, _library_version(), shape)
    for name, (value, owner) in tensors.items():
        if owner is not None:
            header.same_as[name] = owner
            continue
        layout, streams = encode(_own(value.cpu().contiguous()))
        for suffix, file_name in stored_as(name, layout).items():
            if file_name in stored or (suffix and file_name in tensors):
                raise ModelError(f"the state entry {file_name!r} has a name that the file needs for {name!r}; rename it")
            stored[file_name] = streams[suffix]
        header.tensors[name] = Entry(layout, value.dtype, tuple(value.shape), crc32(streams.values()))
    return stored, header


def _content(tensor: Tensor) -> tuple[Any, ...]:
    """What equal buffers of several layers, such as causal masks, have in common: their bytes."""
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return (tensor.dtype, tensor.shape, hashlib.sha256(raw.data).hexdigest())


def _own(tensor: Tensor) -> Tensor:
    """A tensor that is all of its storage, as safetensors wants it."""
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def check_masks(masks: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Every mask has a tensor of its shape.

    Raises:
        ModelError: one has not.
    """
    for name, mask in masks.items():
        if name not in state:
            raise ModelError(f"there is a mask for {name!r}, which is no entry of the state; it has {', '.join([*state][:5])}…")
        if mask.shape != state[name].shape:
            raise ModelError(f"the mask of {name!r} is {tuple(mask.shape)}; its tensor is {tuple(state[name].shape)}")


def text(value: Any) -> str:
    """Something that goes with a model, as text.

    Raises:
        ModelError: it has no form as text.
    """
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value.to_dict() if hasattr(value, "to_dict") else value, sort_keys=True)
    except (TypeError, ValueError) as e:
        raise ModelError(f"metadata must be texts, recipes, mappings or lists; got {type(value).__name__} ({e})") from e


def _library_version() -> str:
    try:
        return version("secateur")
    except PackageNotFoundError:
        return "unknown"
