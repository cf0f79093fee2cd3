"""Choices of kernels as text that goes with a model's file: numbers and names, no code; what does not fit a layer is not used."""

from __future__ import annotations

import json
import os
from typing import Any, TypeAlias

from ..codec.read import read_metadata
from ..core.errors import FormatError
from .kernels.spmm.steps import Choice

__all__ = ["KEY", "Picks", "plain", "read_picks"]

KEY = "kernels"
_VERSION = 1

Picks: TypeAlias = "dict[tuple[str, int, int], tuple[Choice, str]]"
"""Choice and reason by layer, pixels of a matrix and threads."""


def plain(picks: Picks, vectors: str | None) -> dict[str, Any]:
    """Choices as lists of numbers and words.

    Args:
        picks: the choices.
        vectors: that they were made for.
    """
    rows = [[*key, choice.to_list(), why] for key, (choice, why) in sorted(picks.items())]
    return {"version": _VERSION, "vectors": vectors, "choices": rows}


def read_picks(path: str | os.PathLike[str], vectors: str | None) -> Picks:
    """The choices that a file has for these vectors; none when it has none, or those of another kind of CPU.

    Args:
        path: of a file that ``save`` or ``compress`` wrote.
        vectors: of this CPU.

    Raises:
        FormatError: the file cannot be read, or what it says of kernels is not what ``compile`` writes.
    """
    text = read_metadata(path).get(KEY)
    if text is None:
        return {}
    try:
        found = json.loads(text)
        if found["version"] != _VERSION:  # a later release's: this one chooses by itself
            return {}
        picks: Picks = {}
        for name, pixels, threads, numbers, why in found["choices"]:
            if not all(isinstance(s, str) for s in (name, why)) or not all(type(n) is int and n > 0 for n in (pixels, threads)):
                raise ValueError("a layer's name, pixels, threads or reason")
            picks[name, pixels, threads] = Choice.of(numbers), why
        return picks if found["vectors"] == vectors else {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise FormatError(
            f"{path} says {KEY!r} in its metadata, which is no choice of kernels ({e}); write it again with "
            f"metadata={{{KEY!r}: compiled}}, or give compile a model that you load from it"
        ) from e
