"""YAML and JSON in and out, with one error for every way a file can be bad."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from .errors import RecipeError, RunError, require

__all__ = ["atomic_path", "atomic_write", "dump_yaml", "parse_yaml", "read_mapping", "stamps", "to_json"]

_NUMBER = (  # YAML 1.1 wants a dot; people write 1e-3
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)
_BREAK = re.compile("[\x85\u2028\u2029]")


def parse_yaml(text: str, what: str) -> dict[str, Any]:
    """The mapping a YAML (or JSON) text holds; numbers like ``1e-3`` are numbers.

    Args:
        text: the file's content.
        what: how the error names it.

    Raises:
        RecipeError: not YAML, or not a mapping.

    Example:
        >>> parse_yaml("lr: 1e-3", "text")
        {'lr': 0.001}
    """
    yaml = require("yaml", "all")

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
        pass

    Loader.add_implicit_resolver(*_NUMBER)
    try:
        found = yaml.load(text, Loader=Loader)
    except Exception as e:  # hostile scalars and nesting raise more than yaml.YAMLError
        mark = getattr(e, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise RecipeError(f"{what} is not valid YAML{where}: {getattr(e, 'problem', None) or e}") from e
    if not isinstance(found, dict) or not all(isinstance(k, str) for k in found):
        raise RecipeError(f"{what} must be a mapping of names to values; it is {type(found).__name__}")
    return found


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The mapping a YAML or JSON file holds.

    Raises:
        RecipeError: the file is missing, unreadable, not text, not YAML, or not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise RecipeError(f"there is no file {str(path)!r}") from e
    except (OSError, UnicodeDecodeError) as e:
        raise RecipeError(f"{str(path)!r} cannot be read as text: {e}") from e
    return parse_yaml(text, repr(str(path)))


def dump_yaml(value: dict[str, Any]) -> str:
    """YAML in the order given, which ``parse_yaml`` reads back to the same values."""
    yaml = require("yaml", "all")

    class Dumper(yaml.SafeDumper):  # type: ignore[misc, name-defined]
        def represent_text(self, text: str) -> Any:
            # left plain, YAML's further line breaks would come back as ordinary ones
            return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _BREAK.search(text) else None)

    Dumper.add_implicit_resolver(*_NUMBER)
    Dumper.add_representer(str, Dumper.represent_text)
    return str(yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def to_json(value: Any) -> str:
    """JSON in one canonical form: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A file beside a file, which takes its place when the body ends well: a crash or a full disk leaves what was there.

    Args:
        path: the file in the end.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
        mode = part.stat().st_mode  # what the umask gives, whatever the body does
        yield part
        part.chmod(mode)
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.replace(path)
    except OSError as e:
        what = f"{str(path)!r} cannot be written: {e.strerror or e}"
        raise RunError(f"{what}; what was there before is unchanged; give an existing, writable folder with room") from e
    finally:
        with suppress(OSError):  # the folder itself is gone or no folder, and so is the part
            part.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all, as ``atomic_path``."""
    with atomic_path(path) as part, part.open("wb") as f:
        yield f


def stamps(paths: Iterable[str | Path]) -> list[list[str | int]]:
    """Path, time of the last change and size of each file: when these are the same, the files are taken to be.

    Raises:
        OSError: one is not there.
    """
    found = ((str(p), Path(p).stat()) for p in paths)
    return [[name, stat.st_mtime_ns, stat.st_size] for name, stat in found]
