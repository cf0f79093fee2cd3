"""The folder of a run: written whole or not at all, by one process at a time, and read without trust."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..core.errors import RunError
from ..core.files import atomic_write

__all__ = ["RunFolder"]

VERSION = 1


class RunFolder:
    """One run's files: ``experiment.yaml``, ``checkpoint.pt`` while it runs, then ``result.json`` and ``model.safetensors``.

    Args:
        root: the folder of all runs.
        id: the experiment's id.

    Raises:
        RunError: the folder cannot be made.

    Example:
        >>> import tempfile
        >>> run = RunFolder(tempfile.mkdtemp(), "0123456789ab")
        >>> run.write_json("result", {"top1": 0.9})
        >>> run.read_json("result")["top1"]
        0.9
    """

    def __init__(self, root: str | Path, id: str) -> None:
        self.path = Path(root) / id
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise RunError(f"the run folder {str(self.path)!r} cannot be made: {e.strerror or e}; choose another: --out") from e

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until no other process works on this run, then hold it; the operating system frees it if we die."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire()
        except (OSError, Timeout) as e:
            raise RunError(f"the run folder {str(self.path)!r} cannot be locked: {e}") from e
        try:
            yield
        finally:
            lock.release()

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        with atomic_write(self.path / name) as f:
            f.write(text.encode())

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write ``name.json`` with the format's version."""
        self.write_text(f"{name}.json", json.dumps({"version": VERSION, **value}, indent=1))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read ``name.json``; None when it is not there.

        Raises:
            RunError: it is corrupt, or of a newer version.
        """
        path = self.path / f"{name}.json"
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            version = found["version"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise RunError(f"{str(path)!r} is corrupt ({e}); delete it to run the experiment again") from e
        if version != VERSION:
            raise RunError(f"{str(path)!r} has version {version!r}; this release reads {VERSION}: upgrade secateur to read it")
        return dict(found)

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write what resuming needs."""
        with atomic_write(self.path / "checkpoint.pt") as f:
            torch.save({"version": VERSION, **state}, f)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Read it back without unpickling anything but tensors and plain values; None when there is none or it is unreadable.

        A checkpoint that cannot be read costs the work since the start, never a wrong result.
        """
        path = self.path / "checkpoint.pt"
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("version") == VERSION else None

    def drop_checkpoint(self) -> None:
        """Remove it once the result is written."""
        (self.path / "checkpoint.pt").unlink(missing_ok=True)
        for part in self.path.glob(".*.part"):  # left by a process that was killed while writing
            part.unlink(missing_ok=True)
