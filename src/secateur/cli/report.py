"""``secateur report``: the page of a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import RunError, SecateurError
from ..evaluate.report import rich_table, write_report
from ..lab import Experiment, Outcome, comparison
from ..lab.store import RunFolder
from .console import make_console

__all__ = ["read_outcomes", "report"]


def report(
    folder: Annotated[Path, typer.Argument(help="folder of runs")],
    out: Annotated[Path | None, typer.Option(help="where the report goes [default: FOLDER/report]")] = None,
    title: Annotated[str, typer.Option(help="heading")] = "Pruning report",
) -> None:
    """Write one self-contained page, its figures and its numbers, from all finished runs under a folder."""
    found = comparison(read_outcomes(folder), folder, title=title)
    page = write_report(found, out or folder / "report")
    console = make_console()
    console.print(rich_table(found, width=console.width))
    console.print(f"report: {page}", highlight=False)


def read_outcomes(folder: Path) -> list[Outcome]:
    """The finished runs under a folder.

    Raises:
        RunError: there are none, or one is corrupt.
    """
    found = []
    for path in sorted(folder.glob("*/result.json")):
        result = RunFolder(folder, path.parent.name).read_result()
        if result is not None:
            try:
                found.append(Outcome(Experiment.from_dict(result["experiment"]), result))
            except SecateurError as e:  # a plug-in that is not installed here, or a newer release's part
                raise RunError(f"the experiment of {str(path)!r} cannot be read: {e}") from e
    if not found:
        raise RunError(f"no finished run is under {str(folder)!r}; secateur run FILE.yaml --out {folder} makes one")
    return found
