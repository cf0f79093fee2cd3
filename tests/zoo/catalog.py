"""What is in the zoo."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Iterator, Sequence
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
    for name, module in _modules().items():
        if library in (None, name):
            yield from module.entries()


def find(patterns: Sequence[str]) -> list[Entry]:
    """Entries whose ``library/name`` or name matches one of the patterns; and ``library/name`` that is not listed."""
    found = [e for e in entries() if any(fnmatch(str(e), p) or fnmatch(e.name, p) for p in patterns)]
    known = {str(e) for e in found}
    for pattern in patterns:
        library, _, name = pattern.partition("/")
        module = _modules().get(library)
        if name and pattern not in known and not set(name) & set("*?[") and hasattr(module, "entry"):
            found.append(module.entry(name))
    return found


def _modules() -> dict[str, Any]:
    from . import of_timm, of_torchvision, of_transformers, own

    modules = dict(zip(LIBRARIES, (of_transformers, of_timm, of_torchvision, own), strict=True))
    return {name: module for name, module in modules.items() if name == "own" or installed(name)}
