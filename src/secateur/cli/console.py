"""Where the command line prints to."""

from __future__ import annotations

from rich.console import Console

__all__ = ["make_console"]

_PIPED = 110  # columns a file or a pipe gets: it has no width of its own, and tables must not be cut


def make_console() -> Console:
    """A console as wide as the terminal, or of at least 110 columns when the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=max(_PIPED, console.width))
