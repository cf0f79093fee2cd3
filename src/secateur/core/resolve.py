"""Import paths ``package.module:name``, and the one sentence for an argument nobody takes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from .errors import SecateurError

__all__ = ["accepts", "check_arguments", "resolve"]


def resolve(path: str, what: str, error: type[SecateurError]) -> Callable[..., Any]:
    """Import the module and look the class or function up.

    Args:
        path: ``"package.module:name"``.
        what: what the error sentence calls it.
        error: the error to raise.

    Raises:
        error: there is no such module or name, or it cannot be called.

    Example:
        >>> resolve("math:sqrt", "function", SecateurError)(4.0)
        2.0
    """
    module, _, name = path.partition(":")
    if not module or module.startswith(".") or not name.isidentifier():
        raise error(f"{what} {path!r} is not an import path; write it as 'package.module:name'")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as e:
        raise error(f"{what} {path!r} cannot be imported ({e}); is its folder on PYTHONPATH?") from e
    except Exception as e:  # a user's file can raise anything while it is imported
        raise error(f"{what} {path!r} cannot be imported: {module} raised {type(e).__name__}: {e}") from e
    if not hasattr(found, name):
        raise error(f"{what} {path!r} cannot be imported: {module} has no {name!r}")
    found = getattr(found, name)
    if not callable(found):
        raise error(f"{what} {path!r} must be a class or a function; got {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def check_arguments(make: Callable[..., Any], given: Iterable[str], what: str, error: type[SecateurError]) -> None:
    """Refuse an argument that ``make`` does not take; what a ``partial`` has fixed is not offered again.

    Example:
        >>> check_arguments(lambda width: width, ["widht"], "model 'mine'", SecateurError)
        Traceback (most recent call last):
        ...
        secateur.core.errors.SecateurError: model 'mine' has no parameter 'widht'; it has 'width'
    """
    accepted = accepts(make)
    if accepted is None:
        return
    for name in given:
        if name not in accepted:
            it_has = f"it has {', '.join(map(repr, accepted))}" if accepted else "it has none"
            raise error(f"{what} has no parameter {name!r}; {it_has}")


def accepts(make: Callable[..., Any]) -> list[str] | None:
    """The names of the arguments that ``make`` takes, or None when it takes any or does not say."""
    try:
        parameters = inspect.signature(make).parameters
    except ValueError:  # some functions written in C do not say what they take
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return [name for name in parameters if name not in getattr(make, "keywords", {})]
