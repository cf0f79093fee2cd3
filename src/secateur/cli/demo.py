"""``secateur demo``: train, prune, recover, save, reload, measure and report, in one command."""

from __future__ import annotations

import dataclasses as dc
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from ..codec import save
from ..core.errors import RecipeError, RunError, did_you_mean
from ..evaluate.report import Comparison, aggregate, best, dense_stat, rich_table, write_report
from ..lab import Experiment, Outcome, comparison, grid, load_model, run_all
from ..lab.verify import check_in_fresh_process
from ..training import Task, Training
from ..training.data import load_data
from .console import make_console

__all__ = ["demo"]

COMPRESSIONS = (2, 4, 8, 16, 32)


@dc.dataclass(frozen=True)
class _Show:
    """What a demo compares: the dense experiments, and the epochs of fine-tuning."""

    starts: tuple[Experiment, ...]
    epochs: float
    seeds: int
    examples: int

    def methods(self, start: Experiment) -> dict[str, dict[str, Any]]:
        """Every method with the same fine-tuning; the ramp takes the first half of it."""
        tuned = {"epochs": self.epochs, "learning_rate": start.training.learning_rate / 2}
        steps = dc.replace(start.training, epochs=self.epochs).steps(self.examples)
        every = max(1, steps // 20)
        ramp = {"begin": 0, "end": every * 10, "every": every}
        return {
            "global_magnitude": tuned, "layer_magnitude": tuned, "global_gradient": tuned,
            "zhu_gupta_2018": {**tuned, **ramp}, "random": tuned,
        }  # fmt: skip


def _shows() -> dict[str, _Show]:
    sgd = Training(epochs=20, batch_size=64, learning_rate=0.05)
    big = Training(epochs=8, batch_size=128, learning_rate=0.05)
    return {
        "digits": _Show(
            (
                Experiment(task="digits", model="digits_mlp", training=sgd),
                Experiment(task="digits", model="digits_cnn", training=sgd),
            ),
            epochs=20, seeds=3, examples=1257,
        ),
        "mnist": _Show(
            (
                Experiment(task="mnist", model="lenet_300_100", training=big),
                Experiment(task="mnist", model="lenet_5", training=dc.replace(big, learning_rate=0.02)),  # 0.05 diverges
            ),
            epochs=1, seeds=3, examples=55000,
        ),
    }  # fmt: skip


def demo(
    task: Annotated[
        str, typer.Option(help="digits (embedded, two minutes), or mnist (LeNet-300-100 and LeNet-5, much longer)")
    ] = "digits",
    out: Annotated[Path, typer.Option(help="folder of all runs; the report goes to OUT/demo")] = Path("runs"),
    data: Annotated[Path | None, typer.Option(help="where to look for data sets first")] = None,
    seeds: Annotated[int | None, typer.Option(help="seeds of each dense network [default: 3]", min=1)] = None,
    workers: Annotated[int | None, typer.Option(help="processes [default: one a core]", min=1)] = None,
) -> None:
    """Train two small networks, prune them by five methods at five compressions, save, reload, and write a report."""
    shows = _shows()
    if task not in shows:
        raise RecipeError(f"unknown demo task {task!r}; {did_you_mean(task, shows)}")
    show, console, began = shows[task], make_console(), time.perf_counter()
    loaded = load_data(task, data)  # a missing data set is told before any work
    count = seeds or show.seeds
    experiments = [e for s in show.starts for e in grid(s, show.methods(s), COMPRESSIONS, range(count))]
    models, methods = " and ".join(s.model for s in show.starts), len(show.methods(show.starts[0]))
    console.print(
        f"[bold]secateur demo[/]: {models} on {task}, {methods} methods "
        f"at compression {', '.join(map(str, COMPRESSIONS))}, {count} seeds: {len(experiments)} pruned networks",
        highlight=False,
    )
    outcomes = _run(experiments, out, data, workers, console)
    found = comparison(outcomes, out, title=f"secateur demo: {task}", notes=_NOTES)
    folder = out / ("demo" if task == "digits" else f"demo-{task}")
    page = write_report(found, folder)
    console.print(rich_table(found, width=console.width))
    for start in show.starts:
        _keep_best(start, outcomes, found, out=out, folder=folder, task=Task(loaded), data=data, console=console)
    console.print(f"report  {page}   ({time.perf_counter() - began:.0f} s)", highlight=False)


_NOTES = (
    "All methods start from the same dense networks and have the same fine-tuning; the classifier stays dense.",
    "The best network is chosen on the validation split; all figures are of the test split, which nothing was tuned on.",
    "Latency is of the pruned weights in ordinary dense PyTorch kernels: zeros alone make nothing faster there.",
)


def _run(experiments: list[Experiment], out: Path, data: Path | None, workers: int | None, console: Console) -> list[Outcome]:
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    dense = {e.dense().id for e in experiments}
    with Progress(*columns, console=console) as progress:
        bars = {"dense": progress.add_task("training dense networks", total=len(dense))}
        for model in dict.fromkeys(e.model for e in experiments):
            bars[model] = progress.add_task(f"pruning {model}", total=sum(e.model == model for e in experiments))

        def told(outcome: Outcome) -> None:
            progress.advance(bars["dense" if outcome.experiment.recipe is None else outcome.experiment.model])
            if outcome.error is not None:
                progress.console.print(f"[red]failed[/] {outcome.experiment.id}: {outcome.error}", highlight=False)

        return run_all(experiments, out, data=data, workers=workers, told=told)


def _knee(start: Experiment, outcomes: list[Outcome], found: Comparison) -> tuple[Outcome, dict[str, Any]]:
    """The network the report stars: furthest within one point of dense on the validation split, its best seed there."""
    points = [p for p in found.points if p.model == start.model]
    star = best(aggregate(points), dense_stat(points, start.task, start.model))
    done = {o.experiment.id: (o, o.result) for o in outcomes if o.result is not None}
    pruned = [p for p in points if p.id in done and not p.control]
    if not pruned:
        raise RunError(f"no run of {start.model} finished; the reasons are above")
    starred = [p for p in pruned if star is not None and (p.method, p.target_compression) == (star.method, star.target)]
    outcome, result = done[max(starred or pruned, key=lambda p: p.validation_change or 0.0).id]
    return outcome, result


def _keep_best(
    start: Experiment,
    outcomes: list[Outcome],
    found: Comparison,
    *,
    out: Path,
    folder: Path,
    task: Task,
    data: Path | None,
    console: Console,
) -> None:
    outcome, result = _knee(start, outcomes, found)
    model: nn.Module = load_model(outcome.experiment, out)
    file = folder / f"{start.model}.safetensors"
    save(model, file, metadata={"experiment": outcome.experiment.id, "recipe": outcome.experiment.recipe})
    same = check_in_fresh_process(model, task, file, out / outcome.experiment.id / "experiment.yaml", data)
    top1, dense = result["test"]["top1"], result["dense_test"]["top1"]
    console.print(
        f"[green]✓[/] {start.model}: {outcome.experiment.method} at {result['compression']:.1f}×, test {top1:.2%} "
        f"(dense {dense:.2%}), {file} has {file.stat().st_size:,} bytes (dense {result['dense_bytes']:,}); "
        f"loaded in a fresh process, equal outputs (sha256 {same[:12]})",
        highlight=False,
    )
