"""Where a data set lies: the given folder, then $SECATEUR_DATA, then the user's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core.errors import DataError

__all__ = ["cache_folder", "find"]


def cache_folder() -> Path:
    """The user's cache: ``$XDG_CACHE_HOME/secateur``, by default ``~/.cache/secateur``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "secateur"


def find(name: str, layouts: Mapping[str, Sequence[str]], folder: str | Path | None = None) -> tuple[str, Path]:
    """The first place that holds every file of one of the layouts.

    Looked at in turn: the folder, ``$SECATEUR_DATA``, the user's cache; in each the place itself, then its sub-folder
    ``name``.

    Args:
        name: the set's name.
        layouts: relative files by a name of the layout, the preferred one first.
        folder: the folder given by the user (``--data``), if any.

    Returns:
        The layout's name, and the folder its files are relative to.

    Raises:
        DataError: no place holds a complete layout, or the given folder does not exist.
    """
    if folder is not None and not Path(folder).is_dir():
        raise DataError(f"data folder {str(folder)!r} does not exist; give the folder that has {name!r} in it")
    roots = [Path(root).expanduser() for root in (folder, os.environ.get("SECATEUR_DATA"), cache_folder()) if root]
    places = [place for root in roots for place in (root, root / name)]
    for place in places:
        for layout, files in layouts.items():
            if all((place / file).is_file() for file in files):
                return layout, place
    raise DataError(_missing(name, layouts, roots, places))


def _missing(name: str, layouts: Mapping[str, Sequence[str]], roots: list[Path], places: list[Path]) -> str:
    wanted = " or ".join(files[0] + (f" (and {len(files) - 1} more)" if files[1:] else "") for files in layouts.values())
    part = [(place, [f for f in files if not (place / f).is_file()], files) for place in places for files in layouts.values()]
    half = next((f"; {place} lacks {', '.join(lacks)}" for place, lacks, files in part if len(lacks) < len(files)), "")
    where = ", ".join(dict.fromkeys(map(str, roots)))
    return (
        f"data set {name!r} was not found: looked for {wanted} in {where} and their sub-folder {name!r}{half}; "
        f"run 'secateur data fetch {name}', or name the folder that has it with --data or $SECATEUR_DATA"
    )
