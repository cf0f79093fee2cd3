"""Every data set by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import DataError, did_you_mean
from ...core.resolve import accepts, check_arguments, resolve
from ._data import Data
from .cifar10 import load_cifar10
from .digits import load_digits
from .mnist import load_mnist
from .text import load_text

__all__ = ["DATA_SETS", "load_data"]

DATA_SETS: dict[str, Callable[..., Data]] = {
    "digits": load_digits,
    "mnist": load_mnist,
    "cifar10": load_cifar10,
    "tinyshakespeare": partial(load_text, name="tinyshakespeare"),
}


def load_data(name: str, /, folder: str | Path | None = None, **options: Any) -> Data:
    """A data set by its registered name, or by the import path of a function that returns a ``Data``.

    Args:
        name: ``"digits"``, ``"mnist"``, ``"cifar10"``, ``"tinyshakespeare"``, or ``"package.module:function"``.
        folder: where to look first; handed to your own function when it takes one.
        options: what the set's own loader takes, e.g. ``block_size`` for text.

    Raises:
        DataError: unknown name or option, or the set's files are missing.
        FormatError: the set's files are corrupt.

    Example:
        >>> load_data("digits").shape
        (1, 8, 8)
        >>> load_data("mnits")
        Traceback (most recent call last):
        ...
        secateur.core.errors.DataError: unknown data set 'mnits'; did you mean 'mnist'? known: cifar10, digits, mnist,
        tinyshakespeare; or an import path 'package.module:function'
    """
    if ":" in name:
        loader = resolve(name, "data set", DataError)
    elif name in DATA_SETS:
        loader = DATA_SETS[name]
    else:
        raise DataError(
            f"unknown data set {name!r}; {did_you_mean(name, DATA_SETS)}; or an import path 'package.module:function'"
        )
    check_arguments(loader, options, f"data set {name!r}", DataError)
    known = accepts(loader)
    looks = folder is not None and (known is None or "folder" in known)
    data = loader(**({"folder": folder} if looks else {}), **options)
    if not isinstance(data, Data):
        raise DataError(f"data set {name!r} must return a secateur.training.data.Data; got {type(data).__name__}")
    return data
