"""The command line. What loads torch is loaded when it is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .again import Asked

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from .commands import app

        return app
    raise AttributeError(f"module 'secateur.cli' has no attribute {name!r}")


def main() -> None:
    """Run the command line; what the library refuses is one red sentence and exit code 2."""
    here = str(Path.cwd())
    if here not in sys.path:  # import paths like mine:Net mean the user's own files
        sys.path.insert(0, here)
    asked = Asked(sys.argv[1:])
    if said := asked.answer():
        print(said)
        sys.exit(0)

    from rich.console import Console
    from rich.text import Text

    from ..core.errors import SecateurError
    from .commands import app

    try:
        app(obj=asked)
    except SecateurError as e:
        Console(stderr=True, soft_wrap=True).print("[bold red]secateur:[/]", Text(str(e)), highlight=False)
        sys.exit(2)
