"""The shape of a shrunken model, kept with it: which integers differ from what its constructor makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..core.errors import FormatError
from .sizes import Slot
from .slots import write

__all__ = ["from_plain", "note", "noted", "to_plain"]

_NOTE = "_secateur_shape"


def note(model: nn.Module, changes: Mapping[Slot, int]) -> None:
    """Remember changed integers in the model, beside those of an earlier shrinking."""
    if changes:
        model.__dict__[_NOTE] = {**noted(model), **changes}


def noted(model: nn.Module) -> dict[Slot, int]:
    """The integers of a model that shrinking has changed, with their values; empty for one that is as it was made.

    Example:
        >>> noted(nn.Linear(2, 2))
        {}
    """
    return dict(model.__dict__.get(_NOTE, {}))


def to_plain(changes: Mapping[Slot, int]) -> list[list[Any]]:
    """Changed integers as JSON holds them: ``[[module, [keys], value]]``.

    Example:
        >>> to_plain({Slot("fc", ("in_features",)): 3})
        [['fc', ['in_features'], 3]]
    """
    return [[s.module, list(s.keys), v] for s, v in changes.items()]


def from_plain(plain: Any) -> dict[Slot, int]:
    """And back.

    Raises:
        FormatError: it is something else.
    """
    changes = {}
    for entry in plain if isinstance(plain, list) else [None]:
        match entry:
            case [str() as module, [*keys], int() as value] if keys and all(type(k) in (str, int) for k in keys):
                changes[Slot(module, tuple(keys))] = value
            case _:
                raise FormatError(f"the file's shape plan holds {str(entry)[:80]!r}; expected [module, [keys], integer]")
    return changes


def reshape_(model: nn.Module, changes: Mapping[Slot, int]) -> None:
    """Give a newly made model the integers of a shrunken one.

    Raises:
        FormatError: the model has no such attribute: it is of another class than the one that was saved.
    """
    try:
        write(model, changes)
    except (AttributeError, KeyError, IndexError, TypeError) as e:
        raise FormatError(
            f"the shape plan changes {', '.join(str(s) for s in list(changes)[:3])}, …, but {type(model).__name__} has no "
            f"such attribute ({e}); give a model of the class and settings that was saved"
        ) from e
    note(model, changes)
