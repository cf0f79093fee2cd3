"""``secateur report``: the page of a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..core.errors import RunError
from ..evaluate.report import rich_table, write_report
from ..lab import Experiment, Outcome, comparison
from ..lab.store import RunFolder

__all__ = ["read_outcomes", "report"]


def report(
    folder: Annotated[Path, typer.Argument(help="folder of runs")],
    out: Annotated[Path | None, typer.Option(help="where the report goes [default: FOLDER/report]")] = None,
    title: Annotated[str, typer.Option(help="heading")] = "Pruning report",
) -> None:
    """Write one self-contained page, its figures and its numbers, from all finished runs under a folder."""
    found = comparison(read_outcomes(folder), folder, title=title)
    page = write_report(found, out or folder / "report")
    console = Console()
    console.print(rich_table(found))
    console.print(f"report: {page}", highlight=False)


def read_outcomes(folder: Path) -> list[Outcome]:
    """The finished runs under a folder.

    Raises:
        RunError: there are none.
    """
    paths = sorted(p.parent for p in folder.glob("*/result.json"))
    results = [r for p in paths if (r := RunFolder(folder, p.name).read_json("result")) is not None]
    if not results:
        raise RunError(f"no finished run is under {str(folder)!r}; secateur run FILE.yaml --out {folder} makes one")
    return [Outcome(Experiment.from_dict(r["experiment"]), r) for r in results]
