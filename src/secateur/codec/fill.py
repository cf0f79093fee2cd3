"""From an open file into a model's own memory: all is checked first, and little of it is held meanwhile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import prod

import torch
from torch import Tensor, nn

from ..graph.cut import tensors
from .opened import File
from .unpacked import Unpacked

__all__ = ["Found", "fill"]

_ROOM = 1 << 24  # bytes that may be held of a model of any size
_SHARE = 4  # of a larger one, one in so many of its bytes


class Found:
    """Tensors of a file, every one of them decoded and found right; what is too much to hold is decoded again when wanted.

    Args:
        file: an open one.
        names: of tensors in it.

    Raises:
        FormatError: one of them is corrupt; without the name of the file.
    """

    def __init__(self, file: File, names: Iterable[str]) -> None:
        self._file, self._held = file, dict[str, Unpacked]()
        wanted = {file.same_as.get(n, n) for n in names}
        sizes = {n: prod(t.shape) * t.dtype.itemsize for n, t in file.tensors.items() if n in wanted}
        room = max(_ROOM, sum(sizes.values()) // _SHARE)
        for name in sizes:
            found = file.unpack(name)
            if found.bytes <= room:
                self._held[name] = found
                room -= found.bytes

    def __getitem__(self, name: str) -> Unpacked:
        owner = self._file.same_as.get(name, name)
        return self._held[owner] if owner in self._held else self._file.unpack(owner)

    def tensor(self, name: str) -> Tensor:
        """One of them, dense."""
        entry = self._file.tensors[self._file.same_as.get(name, name)]
        return self[name].tensor(entry.dtype, entry.shape)


@torch.no_grad()
def fill(model: nn.Module, names: Iterable[str], found: Found) -> OrderedDict[str, Tensor]:
    """Give parameters and buffers their values, one after the other, where they lie.

    Returns:
        What ``load_state_dict`` is to be called with, since modules may want to know, or keep their state elsewhere: the model's
        own tensors, and new ones for entries that are none of these, or where a class of the user's takes part in loading.
    """
    state, own = model.state_dict(), {} if _has_a_say(model) else tensors(model)
    filled: OrderedDict[str, Tensor] = OrderedDict()
    for name in names:
        value = filled[name] = state[name]
        if name not in own or not _same_memory(own[name], value):
            filled[name] = found.tensor(name)
        elif value.device.type == "cpu" and value.is_contiguous():
            found[name].fill(value)
        else:
            value.copy_(found.tensor(name))
    filled._metadata = getattr(state, "_metadata", {})  # type: ignore[attr-defined]  # some modules ask for their version
    return filled


def _has_a_say(model: nn.Module) -> bool:
    """Whether a class of the user's takes part in loading: it may refuse, and then the model must be as it was."""
    return any(
        m._load_state_dict_pre_hooks
        or (
            type(m)._load_from_state_dict is not nn.Module._load_from_state_dict
            and not type(m)._load_from_state_dict.__module__.startswith("torch.")
        )
        for m in model.modules()
    )


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and (a.shape, a.stride(), a.dtype) == (b.shape, b.stride(), b.dtype)
