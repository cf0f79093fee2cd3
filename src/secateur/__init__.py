"""Secateur prunes PyTorch networks: every published method as one sentence of five words."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from .core.errors import DataError, DependencyError, FormatError, ModelError, RecipeError, RunError, SecateurError

if TYPE_CHECKING:
    from .codec import compress, load, save
    from .codec.quantise import Share
    from .evaluate.measure import measure
    from .goal import Bytes, Compression, Latency, Macs, Params, Sparsity
    from .graph.explain import explain
    from .pipeline import Pipeline
    from .prune import prune_
    from .pruner import Pruner
    from .reachable import reach
    from .recipe import Recipe
    from .runtime.compile import compile
    from .sharer import Sharer

try:
    __version__ = version("secateur")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0.0.0"

__all__ = [
    "Bytes",
    "Compression",
    "DataError",
    "DependencyError",
    "FormatError",
    "Latency",
    "Macs",
    "ModelError",
    "Params",
    "Pipeline",
    "Pruner",
    "Recipe",
    "RecipeError",
    "RunError",
    "SecateurError",
    "Share",
    "Sharer",
    "Sparsity",
    "compile",
    "compress",
    "explain",
    "load",
    "measure",
    "prune_",
    "reach",
    "save",
    "shrink_",
]

_LAZY = {  # torch takes seconds, and not every command needs it
    **dict.fromkeys(("Bytes", "Compression", "Latency", "Macs", "Params", "Sparsity"), ".goal"),
    "Pipeline": ".pipeline",
    "Pruner": ".pruner",
    "Recipe": ".recipe",
    "Share": ".codec.quantise",
    "Sharer": ".sharer",
    "compile": ".runtime.compile",
    "compress": ".codec",
    "explain": ".graph.explain",
    "load": ".codec",
    "measure": ".evaluate.measure",
    "prune_": ".prune",
    "reach": ".reachable",
    "save": ".codec",
    "shrink_": ".graph.shrink",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'secateur' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
