"""Progress of many runs: a bar for each that is under way, and one for all, with the time to go."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from ..lab import Experiment, Notice, Outcome

__all__ = ["Bars", "name_of"]


def name_of(experiment: Experiment) -> str:
    """A run in a few words."""
    at = "" if experiment.compression is None else f" {experiment.compression:g}×"
    return f"{experiment.model} {experiment.label}{at}, seed {experiment.seed}"


class Bars:
    """What is shown while runs are under way; where there is no terminal, a line for each run that ends.

    Args:
        experiments: all that are to be run.
        console: where.
        workers: how many run at a time.
    """

    def __init__(self, experiments: Iterable[Experiment], console: Console, workers: int) -> None:
        self._console, self._workers = console, workers
        self._left = {e.id: e for e in experiments}
        self._count = len(self._left)
        self._took: dict[tuple[str, ...], list[float]] = {}
        self._bars: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[at]}"), _ToGo())
        self._progress = Progress(*columns, console=console, refresh_per_second=4)
        self._all = self._progress.add_task("[bold]all runs", total=self._count, at=f"0/{self._count}", guess=self.guess)

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._progress.stop()

    def say(self, notice: Notice) -> None:
        """A run under way tells how far it is."""
        e = notice.experiment
        self._progress.start()  # not before there is something to do
        if notice.again is not None:
            self._drop(e)
            self._print(f"[yellow]again[/] {name_of(e)}: {notice.again}")
            return
        if e.id not in self._bars:
            self._began[e.id] = time.monotonic()
            self._bars[e.id] = self._progress.add_task(name_of(e), total=None, at="starting", guess=None)
        if notice.stage:
            at = f"{notice.stage}, {notice.step}/{notice.steps}"
            self._progress.update(self._bars[e.id], total=notice.steps, completed=notice.step, at=at)

    def told(self, outcome: Outcome) -> None:
        """A run is done with."""
        e = outcome.experiment
        self._left.pop(e.id, None)
        if outcome.result is not None:
            began, now = self._began.get(e.id), time.monotonic()  # evaluating and saving take their time as well
            self._took.setdefault(_kind(e), []).append(outcome.result["seconds"] if began is None else now - began)
        done = self._count - len(self._left)
        self._progress.update(self._all, completed=done, at=f"{done}/{self._count}")
        self._drop(e)
        if outcome.error is not None:
            self._print(f"[red]failed[/] {name_of(e)}: {outcome.error}")
        elif outcome.tries and outcome.result is not None and not self._console.is_terminal:
            top1, seconds = outcome.result["test"]["top1"], outcome.result["seconds"]
            self._print(f"{done}/{self._count} {name_of(e)}: top1 {top1:.2%}, {seconds:.1f} s")

    def guess(self) -> float | None:
        """Seconds to go, by what runs of the same kind took."""
        known = [s for took in self._took.values() for s in took]
        if not known:
            return None
        mean, now = statistics.fmean(known), time.monotonic()
        each = {k: statistics.fmean(took) for k, took in self._took.items()}
        left = sum(max(0.0, each.get(_kind(e), mean) - (now - self._began.get(i, now))) for i, e in self._left.items())
        return left / min(self._workers, max(1, len(self._left)))

    def _drop(self, experiment: Experiment) -> None:
        self._began.pop(experiment.id, None)
        bar = self._bars.pop(experiment.id, None)
        if bar is not None:
            self._progress.remove_task(bar)

    def _print(self, text: str) -> None:
        self._progress.console.print(text, highlight=False)


def _kind(experiment: Experiment) -> tuple[str, ...]:
    """Runs that take about as long."""
    return (experiment.task, experiment.model, experiment.label)


class _ToGo(ProgressColumn):
    """The time to go."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        guess: Any = task.fields["guess"]
        seconds = task.time_remaining if guess is None else guess()
        return Text("" if seconds is None else f"{timedelta(seconds=round(seconds))} to go", style="progress.remaining")
