"""Machine code on disk, in a folder of the user's own; what cannot be trusted is not read.

A file is a magic word, the SHA-256 of what follows, and an object file. Machine code runs with the user's rights, so the
folder and every file must belong to the user and be writable by nobody else; anything else counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

__all__ = ["fetch", "folder", "keep"]

_MAGIC = b"secateur kernel 1\n"
_LARGEST = 1 << 26


def folder() -> Path:
    """Where machine code is kept: ``SECATEUR_CACHE``, or the user's cache folder."""
    if given := os.environ.get("SECATEUR_CACHE"):
        return Path(given) / "kernels"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "secateur" / "kernels"


def fetch(key: str) -> bytes | None:
    """The object file kept under a key; None when there is none that can be trusted."""
    try:
        if not _own(os.lstat(folder())):
            return None
        file = os.open(folder() / key, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    with os.fdopen(file, "rb") as f:
        seen = os.fstat(f.fileno())
        if not _own(seen) or not stat.S_ISREG(seen.st_mode) or seen.st_size > _LARGEST:
            return None
        data = f.read()
    head = len(_MAGIC) + 32
    code = data[head:]
    whole = data.startswith(_MAGIC) and hashlib.sha256(key.encode() + code).digest() == data[len(_MAGIC) : head]
    return code if whole else None


def keep(key: str, code: bytes) -> None:
    """Keep an object file; where that cannot be done, it is compiled again next time."""
    data = _MAGIC + hashlib.sha256(key.encode() + code).digest() + code
    with contextlib.suppress(OSError):
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _own(os.lstat(folder())):
            return
        handle, name = tempfile.mkstemp(dir=folder())
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(data)
            Path(name).replace(folder() / key)  # whole or not at all, whoever else writes it
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def _own(seen: os.stat_result) -> bool:
    """Ours, no link, and nobody else may write it."""
    if stat.S_ISLNK(seen.st_mode):
        return False
    return not hasattr(os, "getuid") or (seen.st_uid == os.getuid() and not seen.st_mode & 0o022)
