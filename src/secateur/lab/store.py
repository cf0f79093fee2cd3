"""The folder of a run: written whole or not at all, by one process at a time, and read without trust."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..core.errors import RunError
from ..core.files import atomic_write
from .figures import check_result

__all__ = ["RunBusy", "RunFolder", "read_json_file", "write_json_file"]

VERSION = 1


def write_json_file(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping with the format's version."""
    with atomic_write(path) as f:
        f.write(json.dumps({"version": VERSION, **value}, indent=1).encode())


def read_json_file(path: Path) -> dict[str, Any] | None:
    """Read a mapping; None when the file is not there.

    Raises:
        RunError: it is corrupt, or of a newer version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise RunError(f"{str(path)!r} is corrupt ({e}); delete it to run the experiment again") from e
    if version != VERSION:
        raise RunError(f"{str(path)!r} has version {version!r}; this release reads {VERSION}: upgrade secateur to read it")
    return dict(found)


class RunBusy(RunError):
    """Another process works on the run."""


class RunFolder:
    """One run's files.

    ``experiment.yaml``, ``checkpoint.pt`` while it runs, then ``result.json``, ``model.safetensors`` and, of a pruned network,
    ``pruner.pt``: its masks, and what a next round needs.

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
    def lock(self, *, wait: bool = True) -> Iterator[None]:
        """Hold the run, once no other process works on it; the operating system frees it if we die.

        Args:
            wait: for the other process.

        Raises:
            RunBusy: we were not to wait.
            RunError: the folder cannot be written.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout as e:
            raise RunBusy(f"another process works on the run {str(self.path)!r}; wait for it") from e
        except OSError as e:
            raise RunError(f"the run folder {str(self.path)!r} cannot be locked: {e}") from e
        try:
            for part in self.path.glob(".*.part"):  # left by a process that was killed while writing
                part.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def write_text(self, name: str, text: str) -> None:
        """Write a text file."""
        with atomic_write(self.path / name) as f:
            f.write(text.encode())

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write ``name.json`` with the format's version."""
        write_json_file(self.path / f"{name}.json", value)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read ``name.json``; None when it is not there.

        Raises:
            RunError: it is corrupt, or of a newer version.
        """
        return read_json_file(self.path / f"{name}.json")

    def read_result(self) -> dict[str, Any] | None:
        """Read ``result.json`` and check that it is a result, and of this run; None when it is not there.

        Raises:
            RunError: it is corrupt, of a newer version, or of another run.
        """
        found = self.read_json("result")
        if found is not None:
            complaint = check_result(found)
            if complaint is None and found["id"] != self.path.name:
                complaint = f"it is of run {found['id']}"
            if complaint is not None:
                path = str(self.path / "result.json")
                raise RunError(f"{path!r} is corrupt ({complaint}); delete it to run the experiment again")
        return found

    def save_checkpoint(self, state: dict[str, Any], name: str = "checkpoint") -> None:
        """Write ``name.pt``: what resuming needs, or going on from the finished run."""
        buffer = io.BytesIO()  # torch.save hides a full disk behind an error of its own
        torch.save({"version": VERSION, "id": self.path.name, **state}, buffer)
        with atomic_write(self.path / f"{name}.pt") as f:
            f.write(buffer.getbuffer())

    def load_checkpoint(self, name: str = "checkpoint") -> dict[str, Any] | None:
        """Read it back without unpickling anything but tensors and plain values; None when there is none or it is unreadable.

        A checkpoint that cannot be read costs the work since the start, never a wrong result.

        Raises:
            RunError: it is of a newer version, whose work must not be written over.
        """
        path = self.path / f"{name}.pt"
        try:
            with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
                whole = archive.testzip() is None
            state = torch.load(path, map_location="cpu", weights_only=True) if whole else None
        except Exception:  # any bytes may lie there, and they can make the readers raise anything
            return None
        if not isinstance(state, dict) or state.get("id") != self.path.name:
            return None
        version = state.get("version")
        if isinstance(version, int) and version > VERSION:
            raise RunError(f"{str(path)!r} has version {version}; this release reads {VERSION}: upgrade secateur to go on")
        return state if version == VERSION else None

    def load_pruner(self) -> dict[str, Any]:
        """The state of the pruner that the run ended with.

        Raises:
            RunError: it is not there (an older release kept none), or corrupt.
        """
        found = self.load_checkpoint("pruner")
        if found is None:
            raise RunError(
                f"{str(self.path / 'pruner.pt')!r} is missing or corrupt, and another run goes on from it; delete the folder to "
                "have it run again"
            )
        return dict(found["pruner"])

    def drop_checkpoint(self) -> None:
        """Remove it once the result is written."""
        (self.path / "checkpoint.pt").unlink(missing_ok=True)
