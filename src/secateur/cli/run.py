"""``secateur run``: one experiment from a file."""

from __future__ import annotations

import dataclasses as dc
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..lab import Experiment, run
from ..lab.experiment import CONTROLS
from ..lab.imports import import_named, import_source, with_sources
from .console import make_console
from .inspect import inspect

__all__ = ["run_file"]


def run_file(
    file: Annotated[Path, typer.Argument(help="experiment.yaml")],
    out: Annotated[Path, typer.Option(help="folder of all runs")] = Path("runs"),
    data: Annotated[Path | None, typer.Option(help="where to look for data sets first")] = None,
    keep_every: Annotated[float, typer.Option(help="seconds between checkpoints")] = 20.0,
    imports: Annotated[
        list[Path] | None, typer.Option("--import", help="a Python file with scores, methods, models or data sets (repeatable)")
    ] = None,
    control: Annotated[
        list[str] | None, typer.Option(help=f"also run this control of the pruned network: {', '.join(CONTROLS)} (repeatable)")
    ] = None,
) -> None:
    """Run an experiment; killed and started again it continues, finished it is not repeated."""
    sources = [import_source(path) for path in imports or ()]
    experiment, named = import_named(Experiment.load(file))
    experiment = with_sources(experiment, [*sources, *named])
    wanted = [experiment, *(dc.replace(experiment, control=c) for c in control or ())]
    console = make_console()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}

        def say(stage: str, step: int, steps: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=steps)
            progress.update(bars[stage], completed=step)

        results = [run(e, out, data=data, keep_every=keep_every, say=say) for e in wanted]
    if experiment.pipeline is not None:
        inspect(out / experiment.id / "model.safetensors")
    console.print(_table(results[0]))
    for e, r in zip(wanted[1:], results[1:], strict=True):
        test = r["test"]["top1"]
        console.print(f"{e.control}: test top1 {test:.2%} ({(test - results[0]['test']['top1']) * 100:+.2f} pt)", highlight=False)
    console.print(f"everything is in {', '.join(str(out / e.id) for e in wanted)}", highlight=False)


def _table(r: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title=f"run {r['id']}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows = [(f"test {k}", f"{v:.4f}" if k == "loss" else f"{v:.2%}") for k, v in r["test"].items()]
    if r["dense_test"] is not None:
        rows += [("dense test top1", f"{r['dense_test']['top1']:.2%}")]
    rows += [
        ("parameters", f"{r['parameters']:,}"),
        ("non-zero", f"{r['nonzero']:,}"),
        ("compression", f"{r['compression']:.2f}×"),
        ("theoretical speed-up", "—" if r["speedup"] is None else f"{r['speedup']:.2f}×"),
        ("file", f"{r['file_bytes']:,} bytes, {r['dense_bytes'] / r['file_bytes']:.2f}× smaller than float32"),
        ("latency, one example", f"{r['latency_ms']:.3f} ms (dense {r['dense_latency_ms']:.3f} ms)"),
        ("threads", str(r["latency_threads"])),
        ("seconds", f"{r['seconds']:.1f}"),
    ]
    for row in rows:
        table.add_row(*row)
    return table
