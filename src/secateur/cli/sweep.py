"""``secateur sweep``: a fair comparison of methods, from one file."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..core.component import AXES
from ..evaluate.report import rich_table, write_report
from ..lab import Outcome, Plan, Sweep, comparison, make_plan, run_all
from ..lab.cluster import Cluster
from ..lab.crew import count_cores, find_gpus
from ..lab.shelf import Shelf, is_remote
from ..lab.track import Tracker, make_tracker
from ..testing import check
from .again import Asked
from .bars import Bars, name_of
from .console import make_console
from .plan_table import left_out_table, plan_table

__all__ = ["sweep_file"]


def sweep_file(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="sweep.yaml [default: the controls on the embedded digits]")] = None,
    out: Annotated[str, typer.Option(help="folder of all runs; or s3://…, gs://…, any that fsspec knows")] = "runs",
    data: Annotated[Path | None, typer.Option(help="where to look for data sets first")] = None,
    imports: Annotated[
        list[Path] | None, typer.Option("--import", help="a Python file with scores, methods, models or data sets (repeatable)")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="also this method, or this score in magnitude's place (repeatable)")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="processes [default: one a GPU, or one a core]", min=1)] = None,
    retries: Annotated[int, typer.Option(help="how often a run is begun again whose process died", min=0)] = 1,
    ray: Annotated[
        str | None, typer.Option(help="run on a Ray cluster: auto, or the address of its head", metavar="auto|ADDRESS")
    ] = None,
    track: Annotated[list[str] | None, typer.Option(help="also tell a tracker: tensorboard, wandb, mlflow (repeatable)")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be run, and what cannot be")] = False,
    report: Annotated[Path | None, typer.Option(help="where the report goes [default: OUT/report-NAME]")] = None,
) -> None:
    """Compare methods: same initial weights, data order and training for all; killed and started again it goes on."""
    sweep = _read(file, imports or [], method or [])
    console, shelf = make_console(), Shelf(out) if is_remote(out) else None
    root = Path(out) if shelf is None else shelf.local
    trackers = [make_tracker(name, root) for name in track or ()]
    plan = make_plan(sweep, root, data)
    if shelf is not None:
        shelf.pull({i for e in plan.experiments for i in (e.id, e.dense().id)})
    if dry_run:
        console.print(plan_table(plan, root, title=sweep.title))
    if plan.left_out:
        console.print(left_out_table(plan.left_out))
    for said in _broken(plan, sweep):
        console.print(f"[yellow]contract[/] {said}", highlight=False, soft_wrap=True)
    if dry_run:
        return
    crew = None if ray is None else Cluster(ray, root, data, sweep.sources)
    how = {"data": data, "workers": workers, "retries": retries, "crew": crew, "sources": sweep.sources}
    outcomes = _run(plan, console, _Listeners(trackers, shelf, console), root, **how)
    folder = report or root / f"report-{file.stem if file else 'sweep'}"
    _show(outcomes, sweep, console, root, folder)
    if shelf is not None and folder.is_relative_to(root):
        shelf.push(str(folder.relative_to(root)))
    failed = [o for o in outcomes if o.error is not None]
    if failed:
        console.print(_failures(failed))
        console.print(f"{len(failed)} of {len(outcomes)} runs failed; the same command tries them again", highlight=False)
        raise typer.Exit(1)
    if isinstance(context.obj, Asked) and shelf is None and (page := folder / "report.html").exists():
        results = [root / o.experiment.id / "result.json" for o in outcomes]
        files = [*([file] if file else []), *(Path(s.path) for s in sweep.sources), *results, page]
        context.obj.remember(_nothing_to_do(len(outcomes), page, len(plan.left_out)), root, files)


def _nothing_to_do(runs: int, page: Path, left_out: int = 0) -> str:
    more = f" ({left_out} left out: --dry-run says why)" if left_out else ""
    return f"nothing to do: all {runs} runs are finished; report: {page}{more}"


def _read(file: Path | None, imports: Sequence[Path], methods: Sequence[str]) -> Sweep:
    more = {"imports": list(map(str, imports)), "methods": list(methods)}
    return Sweep.from_dict(more) if file is None else Sweep.load(file, **more)


def _broken(plan: Plan, sweep: Sweep) -> Iterator[str]:
    """What the user's own choices do not keep of what holds of every other; they are run all the same."""
    own = {s.name for s in sweep.sources}
    choices = {getattr(e.recipe, a) for e in plan.experiments if e.recipe is not None and e.sources for a in AXES}
    for choice in choices:
        if type(choice).__module__ in own:
            try:
                check(choice)
            except Exception as e:  # a user's code raises what it likes
                yield str(e) if isinstance(e, AssertionError) else f"{choice!r} raised {type(e).__name__}: {e}"


class _Listeners:
    """Who is told of a run that has ended, beside the bars: trackers, and the shared path."""

    def __init__(self, trackers: Sequence[Tracker], shelf: Shelf | None, console: Console) -> None:
        self._trackers, self._shelf, self._console = trackers, shelf, console
        self.finished = 0

    def told(self, outcome: Outcome) -> None:
        """What they make of it costs no run."""
        self.finished += outcome.result is not None
        try:
            for tracker in self._trackers:
                tracker.track(outcome)
            if self._shelf is not None and outcome.tries and outcome.result is not None:
                self._shelf.push(outcome.experiment.id)
        except Exception as e:  # trackers and file systems raise what they like
            self._console.print(f"[yellow]not told[/] {name_of(outcome.experiment)}: {e}", highlight=False)


def _run(plan: Plan, console: Console, listeners: _Listeners, root: Path, **how: Any) -> list[Outcome]:
    """All runs, with bars; Ctrl-C says how to go on."""
    workers = how["workers"] or (how["crew"].places if how["crew"] else len(find_gpus()) or count_cores())
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's scheduler asks like that
    try:
        with Bars(plan.experiments, console, workers) as bars:

            def note(outcome: Outcome) -> None:
                bars.told(outcome)
                listeners.told(outcome)

            return run_all(plan.experiments, root, told=note, say=bars.say, **how)
    except KeyboardInterrupt:
        console.print(
            f"stopped: {listeners.finished} of {len(plan.experiments)} runs are finished in {root}, and those under way are "
            "kept; the same command goes on with them",
            highlight=False,
        )
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(outcomes: Sequence[Outcome], sweep: Sweep, console: Console, out: Path, folder: Path) -> None:
    """The table and the page; where nothing is new, where they are."""
    page = folder / "report.html"
    if page.exists() and not any(o.tries for o in outcomes):
        console.print(_nothing_to_do(len(outcomes), page), highlight=False, soft_wrap=True)
        return
    if all(o.result is None for o in outcomes):
        return
    found = comparison(outcomes, out, title=sweep.title, notes=_NOTES)
    console.print(rich_table(found, width=console.width))
    console.print(f"report: {write_report(found, folder)}", highlight=False, soft_wrap=True)


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
