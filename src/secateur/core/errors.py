"""What can go wrong, in six kinds.

::

    SecateurError
    ├── RecipeError      (ValueError)    a recipe, an axis choice or an experiment file is not valid
    ├── ModelError       (ValueError)    the model and the request do not fit each other
    ├── FormatError      (ValueError)    a file is corrupt, truncated, of another model or of a newer version
    ├── DataError        (RuntimeError)  a data set, or the data a score needs, is missing
    ├── DependencyError  (ImportError)   an optional package is not installed
    └── RunError         (RuntimeError)  a run's folder cannot be written, read or locked

Every message is one sentence of the same form: what, what was given, what is accepted, how to mend it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "DataError",
    "DependencyError",
    "FormatError",
    "ModelError",
    "RecipeError",
    "RunError",
    "SecateurError",
    "did_you_mean",
    "require",
]


class SecateurError(Exception):
    """Anything this library refuses to do."""


class RecipeError(SecateurError, ValueError):
    """A recipe, an axis choice or an experiment file is not valid."""


class ModelError(SecateurError, ValueError):
    """The model and the request do not fit each other."""


class FormatError(SecateurError, ValueError):
    """A file is corrupt, truncated, of another model or of a newer version."""


class DataError(SecateurError, RuntimeError):
    """A data set, or the data a score needs, is missing."""


class DependencyError(SecateurError, ImportError):
    """An optional package is not installed."""


class RunError(SecateurError, RuntimeError):
    """A run's folder cannot be written, read or locked."""


def did_you_mean(given: object, accepted: Iterable[str]) -> str:
    """The tail of an error sentence: the nearest accepted name, then all of them.

    Example:
        >>> did_you_mean("magnitde", ["magnitude", "random"])
        "did you mean 'magnitude'? known: magnitude, random"
    """
    names = sorted(accepted)
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(names) or 'none'}"


def require(module: str, extra: str) -> Any:
    """Import an optional package on use, or say which extra brings it.

    Args:
        module: import path, e.g. ``"matplotlib.pyplot"``.
        extra: the extra of this package that installs it.

    Raises:
        DependencyError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as e:
        package = module.split(".")[0]
        raise DependencyError(f"{package} is not installed; it comes with: pip install 'secateur[{extra}]'") from e
