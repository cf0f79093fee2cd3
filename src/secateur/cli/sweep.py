"""``secateur sweep``: a fair comparison of methods, from one file."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..evaluate.report import rich_table, write_report
from ..lab import Outcome, Plan, Sweep, comparison, make_plan, run_all
from ..lab.crew import count_cores, find_gpus
from .bars import Bars, name_of
from .console import make_console
from .plan_table import left_out_table, plan_table

__all__ = ["sweep_file"]


def sweep_file(
    file: Annotated[Path | None, typer.Argument(help="sweep.yaml [default: the controls on the embedded digits]")] = None,
    out: Annotated[Path, typer.Option(help="folder of all runs")] = Path("runs"),
    data: Annotated[Path | None, typer.Option(help="where to look for data sets first")] = None,
    imports: Annotated[
        list[Path] | None, typer.Option("--import", help="a Python file with scores, methods, models or data sets (repeatable)")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="also this method, or this score in magnitude's place (repeatable)")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="processes [default: one a GPU, or one a core]", min=1)] = None,
    retries: Annotated[int, typer.Option(help="how often a run is begun again whose process died", min=0)] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be run, and what cannot be")] = False,
    report: Annotated[Path | None, typer.Option(help="where the report goes [default: OUT/report-NAME]")] = None,
) -> None:
    """Compare methods: same initial weights, data order and training for all; killed and started again it goes on."""
    sweep = _read(file, imports or [], method or [])
    console = make_console()
    plan = make_plan(sweep, out, data)
    if dry_run:
        console.print(plan_table(plan, out, title=sweep.title))
    if plan.left_out:
        console.print(left_out_table(plan.left_out))
    if dry_run:
        return
    outcomes = _run(plan, sweep, console, out=out, data=data, workers=workers, retries=retries)
    _show(outcomes, sweep, console, out, report or out / f"report-{file.stem if file else 'sweep'}")
    failed = [o for o in outcomes if o.error is not None]
    if failed:
        console.print(_failures(failed))
        console.print(f"{len(failed)} of {len(outcomes)} runs failed; the same command tries them again", highlight=False)
        raise typer.Exit(1)


def _read(file: Path | None, imports: Sequence[Path], methods: Sequence[str]) -> Sweep:
    more = {"imports": list(map(str, imports)), "methods": list(methods)}
    return Sweep.from_dict(more) if file is None else Sweep.load(file, **more)


def _run(plan: Plan, sweep: Sweep, console: Console, *, out: Path, **how: Any) -> list[Outcome]:
    """All runs, with bars; Ctrl-C says how to go on."""
    told: list[Outcome] = []
    workers = how["workers"] or len(find_gpus()) or count_cores()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's scheduler asks like that
    try:
        with Bars(plan.experiments, console, workers) as bars:

            def note(outcome: Outcome) -> None:
                told.append(outcome)
                bars.told(outcome)

            return run_all(plan.experiments, out, sources=sweep.sources, told=note, say=bars.say, **how)
    except KeyboardInterrupt:
        done = sum(o.result is not None for o in told)
        console.print(
            f"stopped: {done} of {len(plan.experiments)} runs are finished in {out}, and those under way are kept; the same "
            "command goes on with them",
            highlight=False,
        )
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(outcomes: Sequence[Outcome], sweep: Sweep, console: Console, out: Path, folder: Path) -> None:
    """The table and the page; where nothing is new, where they are."""
    page = folder / "report.html"
    if page.exists() and not any(o.tries for o in outcomes):
        console.print(f"nothing to do: all {len(outcomes)} runs are finished; report: {page}", highlight=False)
        return
    if all(o.result is None for o in outcomes):
        return
    found = comparison(outcomes, out, title=sweep.title, notes=_NOTES)
    console.print(rich_table(found, width=console.width))
    console.print(f"report: {write_report(found, folder)}", highlight=False)


_NOTES = (
    "All methods start from the same initial weights, with the same data order and the same training; where a method trains "
    "otherwise, its settings say so.",
    "All figures are of the test split, which nothing was tuned on.",
)


def _failures(failed: Sequence[Outcome]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="what failed", title_style="bold red")
    for column in ("run", "id", "tries", "why"):
        table.add_column(column, overflow="fold")
    for o in failed:
        table.add_row(name_of(o.experiment), o.experiment.id, str(o.tries), o.error)
    return table
