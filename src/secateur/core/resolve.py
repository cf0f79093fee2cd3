"""Import paths ``package.module:name`` and ``file.py:name``, and the one sentence for an argument nobody takes."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import SecateurError

__all__ = ["accepts", "check_arguments", "import_file", "resolve"]


def resolve(path: str, what: str, error: type[SecateurError]) -> Callable[..., Any]:
    """Import the module and look the class or function up.

    Args:
        path: ``"package.module:name"``, or ``"folder/file.py:name"``.
        what: what the error sentence calls it.
        error: the error to raise.

    Raises:
        error: there is no such module, file or name, or it cannot be called.

    Example:
        >>> resolve("math:sqrt", "function", SecateurError)(4.0)
        2.0
    """
    module, _, name = path.rpartition(":")
    if not module or not name.isidentifier() or (module.startswith(".") and not module.endswith(".py")):
        raise error(f"{what} {path!r} is not an import path; write it as 'package.module:name' or 'file.py:name'")
    try:
        found: Any = import_file(module, error) if module.endswith(".py") else importlib.import_module(module)
    except SecateurError:
        raise
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


def import_file(path: str | Path, error: type[SecateurError]) -> ModuleType:
    """Import a Python file, wherever it lies, under its own name; what is imported already is not imported again.

    Args:
        path: of the file.
        error: the error to raise.

    Raises:
        error: there is no such file, it raises, or another module has its name.

    Example:
        >>> import_file("no_such_score.py", SecateurError)
        Traceback (most recent call last):
        ...
        secateur.core.errors.SecateurError: there is no file 'no_such_score.py'; give the path of a Python file
    """
    file = Path(path).resolve()
    if file.suffix != ".py" or not file.is_file():
        raise error(f"there is no file {str(path)!r}; give the path of a Python file")
    name = file.stem
    if not name.isidentifier():
        raise error(f"{str(path)!r} cannot be imported: {name!r} is no name for a module; rename the file, e.g. my_score.py")
    known = sys.modules.get(name)
    origin = _origin(name) if known is None else getattr(known, "__file__", None) or "a built-in module"
    if origin is not None and (origin == "a built-in module" or Path(origin).resolve() != file):
        raise error(f"{str(path)!r} cannot be imported: there is a module {name!r} already ({origin}); rename the file")
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as e:
        del sys.modules[name]
        if isinstance(e, KeyboardInterrupt):
            raise
        raise error(f"{str(path)!r} cannot be imported: it raised {type(e).__name__}: {e}") from e
    return module


def _origin(name: str) -> str | None:
    """Where a module of this name would come from."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:  # a folder without __init__.py is no module to speak of
        return None
    return "a built-in module" if spec.origin in ("built-in", "frozen") else spec.origin


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
