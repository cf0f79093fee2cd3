"""``secateur report``: the page of one or several folders of runs."""

from __future__ import annotations

import gc
import glob
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ..core.errors import RunError, SecateurError
from ..evaluate.report import read_published, rich_table, write_report
from ..lab import Experiment, Outcome, comparison
from ..lab.imports import import_source
from ..lab.store import RunFolder
from .console import make_console

__all__ = ["Found", "read_outcomes", "report"]


class Found(NamedTuple):
    """What lies under some folders.

    Args:
        outcomes: of the finished runs, none twice.
        roots: the folder that holds each run, by its id.
        left_out: a sentence for every run that could not be read.
        unfinished: runs that have begun and have no result.
    """

    outcomes: list[Outcome]
    roots: dict[str, Path]
    left_out: list[str]
    unfinished: int


def report(
    runs: Annotated[list[str], typer.Argument(help="folders of runs, or patterns of them: runs 'old/*' (repeatable)")],
    out: Annotated[Path | None, typer.Option(help="where the report goes [default: report in the first folder]")] = None,
    title: Annotated[str, typer.Option(help="heading")] = "Pruning report",
    published: Annotated[
        Path | None,
        typer.Option(help="CSV file of published results to lay over the curves; docs/guides/report.md has its columns"),
    ] = None,
    imports: Annotated[
        list[Path] | None, typer.Option("--import", help="a Python file that the runs were made with (repeatable)")
    ] = None,
) -> None:
    """Write one self-contained page, its figures and its numbers, from all finished runs under some folders."""
    for path in imports or ():
        import_source(path)
    folders = _folders(runs)
    found = read_outcomes(folders)
    known = {(o.experiment.task, o.experiment.model) for o in found.outcomes}
    overlay = read_published(published, known) if published is not None else None
    left_out = [*found.left_out, *(overlay.complaints if overlay else ())]
    console = make_console()
    for said in left_out:
        console.print(f"[yellow]left out[/] {said}", highlight=False, soft_wrap=True)
    n = found.unfinished
    notes = [f"{n} more run{' has' if n == 1 else 's have'} begun and not ended."] if n else []
    made = comparison(
        found.outcomes, found.roots, title=title, notes=notes, published=overlay.rows if overlay else (), left_out=left_out
    )
    gc.freeze()  # none of this is garbage, and a collector that walks it all again takes a fifth of the time
    page = write_report(made, out or folders[0] / "report")
    console.print(rich_table(made, width=console.width))
    console.print(f"report: {page}", highlight=False)


def _folders(patterns: list[str]) -> list[Path]:
    """The folders that are meant, none twice.

    Raises:
        RunError: something is no folder and no pattern of one.
    """
    folders: dict[Path, None] = {}
    for pattern in patterns:
        matches = [pattern] if Path(pattern).is_dir() else sorted(glob.glob(pattern))  # noqa: PTH207 (may be absolute)
        here = [Path(p) for p in matches if Path(p).is_dir()]
        if not here:
            raise RunError(f"there is no folder {pattern!r}; give a folder of runs, or a pattern like 'runs/*'")
        folders.update(dict.fromkeys(here))
    return list(folders)


def read_outcomes(folders: list[Path]) -> Found:
    """The finished runs in the folders, or the run that a folder itself is; what cannot be read costs only itself.

    Raises:
        RunError: no run could be read.
    """
    found, left_out = Found([], {}, [], 0), list[str]()
    begun = set[str]()
    for path in (p for folder in folders for p in _run_folders(folder)):
        begun.add(path.name)
        if path.name in found.roots:  # the same experiment, and so the same result
            continue
        try:
            result = RunFolder(path.parent, path.name).read_result()
            if result is not None:
                found.outcomes.append(Outcome(Experiment.from_dict(result["experiment"]), result))
                found.roots[path.name] = path.parent
        except SecateurError as e:  # corrupt, of a newer version, or with a plug-in that is not installed here
            said = str(e)
            left_out.append(said if repr(str(path))[1:-1] in said else f"{str(path / 'result.json')!r}: {said}")
            begun.discard(path.name)
    if not found.outcomes:
        where = ", ".join(repr(str(f)) for f in folders)
        first = f" ({left_out[0]})" if left_out else ""
        raise RunError(f"no finished run is under {where}{first}; secateur run FILE.yaml --out {folders[0]} makes one")
    found.outcomes.sort(key=_place)
    return found._replace(left_out=left_out, unfinished=len(begun - found.roots.keys()))


def _run_folders(folder: Path) -> list[Path]:
    """The folders of runs in a folder, or the folder itself where it is one."""
    inside = [p for p in sorted(folder.iterdir()) if (p / "result.json").exists() or (p / "experiment.yaml").exists()]
    return [folder] if (folder / "result.json").exists() else inside


def _place(outcome: Outcome) -> tuple[str, str, str, str, float, int]:
    """Folders are named by hashes; a reader wants names in order."""
    e = outcome.experiment
    return e.task, e.model, e.method or "", e.control or "", e.compression or 0.0, e.seed
