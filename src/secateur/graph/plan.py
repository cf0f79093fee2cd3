"""The shape of a shrunken model, kept with it: which integers differ from what its constructor makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import nn

from ..core.errors import FormatError
from .sizes import Slot
from .skip import Skip
from .slots import _OWN, NOTE, read, write

__all__ = ["Changes", "forget_", "from_plain", "is_shrunken", "noted", "reshape_", "to_plain"]

Changes: TypeAlias = Mapping[Slot, tuple[int, int]]
"""Slot → its value in a newly made model, and its value in the shrunken one."""

_MOST = 2**63


def is_shrunken(model: nn.Module) -> bool:
    """Whether units or blocks have been cut out of a model, or of a part of it.

    Example:
        >>> is_shrunken(nn.Linear(2, 2))
        False
    """
    return any(NOTE in vars(m) or isinstance(m, Skip) for m in model.modules())


def forget_(model: nn.Module) -> None:
    """Take a model for one that was made as it is: what it was before it was shrunken is no longer known."""
    for module in model.modules():
        vars(module).pop(NOTE, None)


def noted(model: nn.Module) -> dict[Slot, tuple[int, int]]:
    """The integers of a model that shrinking has changed, once or several times: as it was made, and now.

    Example:
        >>> noted(nn.Linear(2, 2))
        {}
    """
    found = {}
    for name, module in model.named_modules():
        for keys, dense in vars(module).get(NOTE, {}).items():
            slot = Slot(name, keys)
            found[slot] = dense, read(model, slot)
    return {slot: (dense, now) for slot, (dense, now) in found.items() if dense != now}


def to_plain(changes: Changes) -> list[list[Any]]:
    """Changed integers as JSON holds them: ``[[module, [keys], before, after]]``.

    Example:
        >>> to_plain({Slot("fc", ("in_features",)): (5, 3)})
        [['fc', ['in_features'], 5, 3]]
    """
    return [[s.module, list(s.keys), before, after] for s, (before, after) in changes.items()]


def from_plain(plain: Any) -> dict[Slot, tuple[int, int]]:
    """And back.

    Raises:
        FormatError: it is something else; without the name of the file.
    """
    changes = {}
    for entry in plain if isinstance(plain, list) else [plain]:
        match entry:
            case [str() as module, [*keys], before, after] if _are_keys(keys) and _is_size(before) and _is_size(after):
                changes[Slot(module, tuple(keys))] = before, after
            case _:
                raise FormatError(
                    f"has a damaged shape plan: {str(entry)[:60]!r} is not [module, [keys], before, after]; save the model again"
                )
    return changes


def _are_keys(keys: list[Any]) -> bool:
    return bool(keys) and type(keys[0]) is str and keys[0] not in _OWN and all(type(k) in (str, int) for k in keys)


def _is_size(value: Any) -> bool:
    return type(value) is int and -_MOST <= value < _MOST


def reshape_(model: nn.Module, changes: Changes) -> None:
    """Give a newly made model the integers of a shrunken one.

    Args:
        model: of the class and settings that were saved; one that has the new integers already, or has been shrunken
            otherwise since, will do.
        changes: as ``noted`` gives them.

    Raises:
        FormatError: the model has no such integers, or others: it is another model. Nothing is changed then.
    """
    mine = noted(model)
    for slot, (before, after) in changes.items():
        try:
            value = read(model, slot)
        except (AttributeError, KeyError, IndexError, TypeError):
            value = None
        if type(value) is not int:
            raise FormatError(f"holds another model: it changes {slot}, which {type(model).__name__} does not have as an integer")
        if value != after and mine.get(slot, (value,))[0] != before:
            raise FormatError(
                f"holds another model: it changes {slot} from {before} to {after}, and the model given has {value}; "
                "build it with the settings it was made with before it was shrunken"
            )
    write(model, {slot: after for slot, (_, after) in changes.items()})
