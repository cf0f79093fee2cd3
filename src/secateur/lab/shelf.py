"""Finished runs on a shared path: s3://, gs://, any that fsspec knows; worked on in a folder of this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core.errors import RunError, require
from ..training.data import cache_folder

__all__ = ["Shelf", "is_remote"]

_LAST = "result.json"  # a run is there when this is


def is_remote(out: str) -> bool:
    """Whether a folder is named by a protocol, as ``s3://bucket/runs`` is."""
    return "://" in out


class Shelf:
    """A folder of runs somewhere else, and its working copy here.

    Args:
        url: the folder, e.g. ``s3://bucket/runs``, ``gs://bucket/runs``, ``file:///mnt/runs``.
        local: the working copy; None for one in the user's cache.

    Raises:
        DependencyError: fsspec is not installed.
        RunError: nothing here speaks the protocol, or the place refuses.

    Example:
        >>> import tempfile
        >>> shelf = Shelf("memory://runs", tempfile.mkdtemp())
        >>> _ = (shelf.local / "0123456789ab").mkdir(), (shelf.local / "0123456789ab" / "result.json").write_text("{}")
        >>> shelf.push("0123456789ab")
        >>> other = Shelf("memory://runs", tempfile.mkdtemp())
        >>> other.pull(["0123456789ab", "ba9876543210"]), [p.name for p in other.local.iterdir()]
        (1, ['0123456789ab'])
    """

    def __init__(self, url: str, local: str | Path | None = None) -> None:
        fsspec = require("fsspec", "cluster")
        self.url = url.rstrip("/")
        here = cache_folder() / "runs" / hashlib.sha256(self.url.encode()).hexdigest()[:12]
        self.local = Path(local) if local is not None else here
        self.local.mkdir(parents=True, exist_ok=True)
        try:
            self._there: Any
            self._there, self._root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError, OSError) as e:
            raise RunError(f"{url!r} cannot be used ({e}); install what speaks it, e.g. pip install s3fs or gcsfs") from e

    def pull(self, ids: Iterable[str]) -> int:
        """Fetch the finished ones of some runs that are not here yet; how many that were.

        Raises:
            RunError: the place refuses.
        """
        try:
            there = {p.rsplit("/", 2)[-2] for p in self._there.glob(f"{self._root}/*/{_LAST}")}
            wanted = [i for i in ids if i in there and not (self.local / i / _LAST).exists()]
            for id in wanted:
                (self.local / id).mkdir(exist_ok=True)
                for path in _result_last(self._there.ls(f"{self._root}/{id}", detail=False)):
                    self._there.get_file(path, str(self.local / id / path.rsplit("/", 1)[-1]))
        except OSError as e:
            raise RunError(f"{self.url!r} cannot be read: {e}") from e
        return len(wanted)

    def push(self, folder: str) -> None:
        """Send a finished run, or a report, there; the result last.

        Raises:
            RunError: the place refuses.
        """
        files = [p.relative_to(self.local).as_posix() for p in (self.local / folder).rglob("*") if p.is_file()]
        try:
            for name in _result_last(f for f in files if not Path(f).name.startswith(".")):
                self._there.makedirs(f"{self._root}/{name}".rsplit("/", 1)[0], exist_ok=True)
                self._there.put_file(str(self.local / name), f"{self._root}/{name}")
        except OSError as e:
            raise RunError(f"{self.url!r} cannot be written: {e}; the run is in {str(self.local / folder)!r}") from e


def _result_last(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda p: p.endswith(_LAST))
