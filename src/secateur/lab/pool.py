"""Run many experiments on the cores and GPUs at hand, or on a cluster."""

from __future__ import annotations

import dataclasses as dc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .crew import Alone, Crew, Processes, Step, count_cores, find_gpus
from .experiment import Experiment
from .imports import Source
from .needs import Needs, finished
from .one import Busy, Ended, Lost, Outcome

__all__ = ["Notice", "Outcome", "run_all"]

_LOOK_AGAIN = 0.5  # seconds, when others work on all that is left


@dataclass(frozen=True)
class Notice:
    """What a run under way tells: that it began (no stage), how far it is, or why it is begun again."""

    experiment: Experiment
    stage: str = ""
    step: int = 0
    steps: int = 0
    again: str | None = None


def run_all(
    experiments: Sequence[Experiment],
    root: str | Path,
    *,
    data: str | Path | None = None,
    workers: int | None = None,
    retries: int = 1,
    sources: Sequence[Source] = (),
    told: Callable[[Outcome], None] | None = None,
    say: Callable[[Notice], None] | None = None,
    crew: Crew | None = None,
) -> list[Outcome]:
    """Run experiments side by side, one thread each; a run that fails, or whose process dies, costs only itself.

    What is finished is read. What a run goes on from (the dense network, the same with one round less, the pruned network of
    a control) is done before it, once. What another process works on is left to it, and read when it is finished.

    In a script, call it under ``if __name__ == "__main__":``, since the workers import the script.

    Args:
        experiments: what to run; the dense networks they start from are added, and the pruned networks of controls.
        root: folder of all runs.
        data: where to look for data sets first.
        workers: processes; None for one a GPU, or one a core where there is none. With 1 everything runs in this process.
        retries: how many times a run is begun again whose process died or had no memory left; alone then.
        sources: the user's files, which every process imports.
        told: called with each outcome as it comes.
        say: called with what runs under way tell.
        crew: who does the runs, instead of processes of this machine.

    Returns:
        One outcome an experiment, in the order given; those of added networks follow.
    """
    added = [b for e in experiments if e.control is not None and (b := e.follows()) is not None]
    added += [e.dense() for e in experiments if e.recipe is not None and e.start == "dense"]
    everything = [*experiments, *{e.id: e for e in added if e not in experiments}.values()]
    line = _Line(everything, root, retries, told or _ignore, say or _ignore)
    if line.waiting:
        gpus = find_gpus()
        count = min(workers or len(gpus) or count_cores(), len(line.waiting))
        here = crew or (Alone(root, data, line.take) if workers == 1 else Processes(count, root, data, sources, gpus))
        try:
            line.run(here)
        finally:
            here.close()
    return [dc.replace(line.done[e.id], experiment=e) for e in everything]  # equal runs may have different labels


def _ignore(_: object) -> None:
    """Nobody listens."""


class _Line:
    """What is done, what is under way, and what waits."""

    def __init__(
        self,
        everything: Sequence[Experiment],
        root: str | Path,
        retries: int,
        told: Callable[[Outcome], None],
        say: Callable[[Notice], None],
    ) -> None:
        self.retries, self.told, self.say = retries, told, say
        self.wanted = {e.id: e for e in everything}
        self.done: dict[str, Outcome] = {}
        for i, e in self.wanted.items():
            known = finished(e, root)
            if known is not None:
                self.done[i] = known
                told(known)
        self.needs = Needs(self.wanted.values(), self.done, root)
        place = {i: n for n, i in enumerate(self.wanted)}
        self.waiting = sorted(self.needs.runs, key=lambda i: (-self.needs.weight[i], place.get(i, 0)))
        self.under_way: set[str] = set()
        self.busy: list[str] = []
        self.look_again = 0.0
        self.again: set[str] = set()
        self.tries: dict[str, int] = {}

    def run(self, crew: Crew) -> None:
        """Until nothing is left."""
        while self.waiting or self.busy or self.under_way:
            while crew.room > 0 and (e := self.next(crew.shares_memory)) is not None:
                self.tries[e.id] = self.tries.get(e.id, 0) + 1
                self.under_way.add(e.id)
                self.say(Notice(e))
                crew.begin(e)
            if self.under_way or self.busy:
                for event in crew.events(_LOOK_AGAIN if self.busy else 60.0):
                    self.take(event)
            if self.busy and time.monotonic() >= self.look_again:  # have the others finished?
                self.waiting, self.busy = [*self.busy, *self.waiting], []

    def next(self, shares_memory: bool) -> Experiment | None:
        """The run to begin now; what cannot be had any more is done with on the way."""
        for i in list(self.waiting):
            error = self.needs.lost(i, self.done)
            if error is not None:
                self.waiting.remove(i)
                self.end(Outcome(self.needs.runs[i], error=error, tries=0))
            elif not self.needs.missing(i, self.done) and not (shares_memory and self.waits_for_room(i)):
                self.waiting.remove(i)
                return self.needs.runs[i]
        return None

    def waits_for_room(self, id: str) -> bool:
        """Whether it has to wait because a run that is tried again has the machine, and its memory, to itself."""
        return bool(self.again & self.under_way) or (id in self.again and bool(self.under_way))

    def take(self, event: Ended | Lost | Busy | Step) -> None:
        """What the crew tells."""
        if isinstance(event, Step):
            self.say(Notice(self.needs.runs[event.id], event.stage, event.step, event.steps))
            return
        id = event.outcome.experiment.id if isinstance(event, Ended) else event.id
        self.under_way.discard(id)
        if isinstance(event, Ended):
            self.end(dc.replace(event.outcome, tries=self.tries[id]))
        elif isinstance(event, Busy):
            self.tries[id] -= 1
            self.busy.append(id)
            self.look_again = time.monotonic() + _LOOK_AGAIN
        elif self.tries[id] <= self.retries:
            self.again.add(id)
            self.waiting.append(id)
            self.say(Notice(self.needs.runs[id], again=event.why))
        else:
            self.end(Outcome(self.needs.runs[id], error=event.why, tries=self.tries[id]))

    def end(self, outcome: Outcome) -> None:
        """It is done, and told if it was asked for."""
        id = outcome.experiment.id
        self.done[id] = outcome
        if id in self.wanted:
            self.told(dc.replace(outcome, experiment=self.wanted[id]))
