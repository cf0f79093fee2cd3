"""What is in the zoo."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from typing import Any

from torch import nn

from .packages import installed

LIBRARIES = ("transformers", "timm", "torchvision", "own")


@dc.dataclass(frozen=True)
class Entry:
    """One model.

    Args:
        library: where it comes from.
        name: its name there.
        build: makes it, with random weights that depend on torch's seed alone.
        inputs: example inputs of a model, given how many examples and a seed.
    """

    library: str
    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[nn.Module, int, int], Any]

    def __str__(self) -> str:
        return f"{self.library}/{self.name}"


def entries(library: str | None = None) -> Iterator[Entry]:
    """All models, of the libraries that are installed."""
    from . import of_timm, of_torchvision, of_transformers, own

    for name, module in zip(LIBRARIES, (of_transformers, of_timm, of_torchvision, own), strict=True):
        if library in (None, name) and (name == "own" or installed(name)):
            yield from module.entries()


def find(patterns: list[str]) -> list[Entry]:
    """Entries whose ``library/name`` or name matches one of the patterns."""
    return [e for e in entries() if any(fnmatch(str(e), p) or fnmatch(e.name, p) for p in patterns)]
