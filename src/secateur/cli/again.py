"""``secateur sweep`` asked again: where no file has changed since all was finished, it is said without loading torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import secateur

from ..core.errors import RunError
from ..core.files import atomic_write, stamps

__all__ = ["Asked"]


class Asked:
    """A command, and what was said to it the last time.

    Args:
        words: of the command line.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)

    def answer(self) -> str | None:
        """What was said, if every file that it depends on is as it was; None to find out."""
        if self.words[:1] != ["sweep"] or "--dry-run" in self.words:
            return None
        try:
            kept = json.loads(self._file(Path(self._out())).read_text(encoding="utf-8"))
            same = kept["files"] == stamps(name for name, *_ in kept["files"]) and kept["code"] == _code()
            return str(kept["said"]) if same else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def remember(self, said: str, root: Path, files: Iterable[Path]) -> None:
        """Keep an answer in the folder of the runs.

        Args:
            said: the answer.
            root: folder of all runs.
            files: what it depends on, beside this library.
        """
        if self.words[:1] == ["sweep"] and root == Path(self._out()):
            kept = {"said": said, "files": stamps(f.resolve() for f in files), "code": _code()}
            with contextlib.suppress(OSError, RunError), atomic_write(self._file(root)) as f:
                f.write(json.dumps(kept).encode())

    def _file(self, root: Path) -> Path:
        key = json.dumps([self.words, str(Path.cwd()), os.environ.get("SECATEUR_DATA")])
        return root / "sweeps" / f"said-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"

    def _out(self) -> str:
        """The folder that the command names."""
        pairs = zip(self.words, [*self.words[1:], ""], strict=True)
        named = [b if a == "--out" else a[6:] for a, b in pairs if a == "--out" or a.startswith("--out=")]
        return named[-1] if named else "runs"


def _code() -> list[list[str | int]]:
    return stamps(sorted(Path(secateur.__file__).parent.rglob("*.py")))
