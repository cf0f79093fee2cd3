"""The fenced blocks of a Markdown page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = "<!-- not run"  # on the line before a block, with the reason: <!-- not run: needs a GPU -->
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(p.relative_to(ROOT)) for p in PAGES]


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, its first line in the page, and whether it is to run."""

    language: str
    text: str
    line: int
    run: bool = True

    @property
    def included(self) -> str | None:
        """The file it shows, which is tested by itself, when it is nothing else."""
        return self.text.splitlines()[1] if self.text.startswith("--8<--") else None


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The page's blocks, in order."""
    lines, found, at = page.read_text(encoding="utf-8").splitlines(), [], 0
    while at < len(lines):
        fence = re.match(r"^(\s*)```(\w+)", lines[at])
        if fence is None:
            at += 1
            continue
        end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
        indent = len(fence[1])
        text = "\n".join(line[indent:] for line in lines[at + 1 : end]) + "\n"
        before = next((x for x in reversed(lines[:at]) if x.strip()), "")
        found.append(Block(fence[2], text, at + 2, not before.strip().startswith(NOT_RUN)))
        at = end + 1
    return [b for b in found if language in (None, b.language)]
