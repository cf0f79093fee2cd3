"""The integers a module holds: found and followed while forward runs, and written when the model has shrunk."""

from __future__ import annotations

import copy
import enum
import functools
import types
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from .sizes import Notes, Size, Slot

__all__ = ["NOTE", "follow", "put", "read", "write"]

NOTE = "_secateur_shape"  # in every module of a shrunken model: the integers it was made with, by their keys
_OWN = frozenset(nn.Module().__dict__)  # what every module has
_DEEP, _LONG = 4, 200  # how far into nested containers, and how long they may be
_NO_HOLDERS = (
    nn.Module, torch.Tensor, torch.Generator, type, types.FunctionType, types.MethodType, types.ModuleType,
    types.BuiltinFunctionType, functools.partial, enum.Enum, int, float, str, bytes,
)  # fmt: skip


def follow(model: nn.Module, notes: Notes) -> dict[Slot, int]:
    """Replace every integer that modules hold by a :class:`Size` of the same value; the caller puts them back.

    Containers and configurations are copied for each module, never changed in place.

    Returns:
        The slots and their values.
    """
    found: dict[Slot, int] = {}

    def sized(value: int, slot: Slot) -> Size:
        found[slot] = value
        return Size(value, slot, notes)

    for name, module in model.named_modules():
        for key, value in list(vars(module).items()):
            if key not in _OWN:
                new = _replaced(value, Slot(name, (key,)), sized)
                if new is not value:
                    module.__dict__[key] = new
    return found


def _replaced(value: Any, slot: Slot, sized: Any) -> Any:
    """A value with its integers replaced; the value itself when it holds none."""
    kind = type(value)
    if kind is int:
        return sized(value, slot)
    if len(slot.keys) > _DEEP:
        return value
    if kind in (tuple, list, dict):
        items = list(value.items() if kind is dict else enumerate(value))
        if len(items) > _LONG or not all(isinstance(k, str | int) for k, _ in items):
            return value
        new = {k: _replaced(v, _inside(slot, k), sized) for k, v in items}
        if all(new[k] is v for k, v in items):
            return value
        return new if kind is dict else kind(new.values())
    if not _holds(value):
        return value
    new = {k: _replaced(v, _inside(slot, k), sized) for k, v in vars(value).items()}
    if all(new[k] is v for k, v in vars(value).items()):
        return value
    return _with(value, new)


def _inside(slot: Slot, key: str | int) -> Slot:
    return Slot(slot.module, (*slot.keys, key))


def _holds(value: Any) -> bool:
    """Whether a value is an object with plain attributes of its own, such as a configuration."""
    return (
        not isinstance(value, _NO_HOLDERS)
        and isinstance(getattr(value, "__dict__", None), dict)
        and not type(value).__module__.startswith(("torch", "builtins", "functools", "collections", "typing"))
    )


def _with(value: Any, attributes: dict[str, Any]) -> Any:
    """A shallow copy of an object with other attributes; the object itself if it cannot be copied."""
    try:
        new = copy.copy(value)
    except Exception:  # an object that refuses to be copied is left as it is: its integers are constants
        return value
    if new is value or vars(new) is vars(value):
        return value
    vars(new).update(attributes)
    return new


def read(model: nn.Module, slot: Slot) -> Any:
    """The value of a slot.

    Example:
        >>> read(nn.Sequential(nn.Linear(3, 2)), Slot("0", ("in_features",)))
        3
    """
    value: Any = model.get_submodule(slot.module)
    for key in slot.keys:
        holder: Any = value if isinstance(value, tuple | list | dict) else vars(value)
        value = holder[key]
    return value


def write(model: nn.Module, changes: Mapping[Slot, int]) -> None:
    """Set slots; what several modules share is copied for those that change it, unless they all set it alike.

    The values that slots had when the model was made are noted in its modules, plain tuples and integers, so that copies,
    pickles and parts of a shrunken model know them too.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 2))
        >>> write(model, {Slot("0", ("in_features",)): 1})
        >>> model[0]
        Linear(in_features=1, out_features=2, bias=True)
    """
    by_module: dict[str, dict[tuple[str | int, ...], int]] = defaultdict(dict)
    for slot, value in changes.items():
        by_module[slot.module][slot.keys] = value
    for module in model.modules():
        vars(module).setdefault(NOTE, {})
    for name, wanted_here in by_module.items():
        own = vars(model.get_submodule(name))
        own[NOTE] = {keys: read(model, Slot(name, keys)) for keys in wanted_here} | own[NOTE]
    for key, holder, modules in list(_shared(model)):
        wanted = [{k[1:]: v for k, v in by_module[m].items() if k[0] == key} for m in modules]
        if wanted[0] and all(w == wanted[0] for w in wanted):  # all agree: one copy serves them all, so it stays shared
            new = holder
            for keys, value in wanted[0].items():
                new = put(new, keys, value)
            for m in modules:
                model.get_submodule(m).__dict__[key] = new
                by_module[m] = {k: v for k, v in by_module[m].items() if k[0] != key}
    for name, wanted_here in by_module.items():
        module = model.get_submodule(name)
        for keys, value in wanted_here.items():
            module.__dict__[str(keys[0])] = put(module.__dict__[str(keys[0])], keys[1:], value)


def _shared(model: nn.Module) -> Iterator[tuple[str, Any, list[str]]]:
    """Objects that several modules hold under one name, with the names of these modules."""
    holders: dict[tuple[int, str], tuple[Any, list[str]]] = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key not in _OWN and _holds(value):
                holders.setdefault((id(value), key), (value, []))[1].append(name)
    for (_, key), (value, modules) in holders.items():
        if len(modules) > 1:
            yield key, value, modules


def put(value: Any, keys: tuple[str | int, ...], new: int) -> Any:
    """A copy of a container with one integer changed.

    Example:
        >>> put({"sizes": (3, 4)}, ("sizes", 1), 2)
        {'sizes': (3, 2)}
    """
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    if isinstance(value, tuple | list):
        return type(value)(put(v, rest, new) if k == key else v for k, v in enumerate(value))
    if isinstance(value, dict):
        return {**value, key: put(value[key], rest, new)}
    return _with(value, {str(key): put(vars(value)[str(key)], rest, new)})
