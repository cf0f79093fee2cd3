"""Run many experiments on the cores at hand."""

from __future__ import annotations

import dataclasses as dc
import functools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import SecateurError
from ..training import Task
from ..training.data import load_data
from .experiment import Experiment, Options
from .run import run

__all__ = ["Outcome", "run_all"]


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its result, or the sentence that says why there is none."""

    experiment: Experiment
    result: dict[str, Any] | None = None
    error: str | None = None


Job = Callable[[Experiment], Outcome]


def run_all(
    experiments: Sequence[Experiment],
    root: str | Path,
    *,
    data: str | Path | None = None,
    workers: int | None = None,
    told: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run experiments side by side, one thread each; a run that fails costs only itself.

    Dense networks are first, then pruned ones (of several numbers of rounds the highest, which does the others), then controls.

    In a script, call it under ``if __name__ == "__main__":``, since the workers import the script.

    Args:
        experiments: what to run; the dense networks they start from are added, and the pruned networks of controls.
        root: folder of all runs.
        data: where to look for data sets first.
        workers: processes; None for one a core. With 1 everything runs in this process.
        told: called with each outcome as it comes.

    Returns:
        One outcome an experiment, in the order given; those of added networks follow.
    """
    bases = {b.id: b for e in experiments if e.control is not None and (b := e.follows()) is not None}
    starts = bases | {e.dense().id: e.dense() for e in experiments}
    everything = (*experiments, *(e for e in starts.values() if e not in experiments))
    turns = _turns(everything)
    found: dict[str, Outcome] = {}
    for turn in sorted(set(turns.values())):
        jobs = {e.id: e for e in everything if turns[e.id] == turn}
        lost = {i: error for i, e in jobs.items() if (error := _lost(e, found)) is not None}
        for outcome in _outcomes(functools.partial(_one, root=root, data=data), jobs, lost, workers or os.cpu_count() or 1):
            found[outcome.experiment.id] = outcome
            if told is not None:
                told(outcome)
    return [dc.replace(found[e.id], experiment=e) for e in everything]  # equal runs may have different labels


def _turns(everything: Sequence[Experiment]) -> dict[str, int]:
    """When an experiment has its turn: 0 dense, 1 pruned, 2 what then is done already, or has what it needs."""
    done = set()
    for e in everything:
        earlier = e.follows() if e.control is None else None
        while earlier is not None:
            done.add(earlier.id)
            earlier = earlier.follows()
    return {e.id: 0 if e.recipe is None else 1 if e.control is None and e.id not in done else 2 for e in everything}


def _lost(experiment: Experiment, found: dict[str, Outcome]) -> str | None:
    """Why there is no need to try: the dense network it starts from could not be had."""
    if experiment.recipe is None or experiment.start != "dense":
        return None
    error = found[experiment.dense().id].error
    return None if error is None else f"its dense network failed: {error}"


def _outcomes(one: Job, jobs: dict[str, Experiment], lost: dict[str, str], workers: int) -> Iterator[Outcome]:
    yield from (Outcome(jobs[i], error=error) for i, error in lost.items())
    left = {i: e for i, e in jobs.items() if i not in lost}
    if workers > 1:
        yield from _side_by_side(one, left, workers)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers have it: how a sum is split decides its last bits
    try:
        yield from map(one, left.values())
    finally:
        torch.set_num_threads(threads)


def _side_by_side(one: Job, jobs: dict[str, Experiment], workers: int) -> Iterator[Outcome]:
    """Outcomes as they come; when a process dies, what was unfinished is run again, each in a process of its own."""
    left = dict(jobs)
    try:
        with _processes(workers) as pool:
            for future in as_completed([pool.submit(one, e) for e in jobs.values()]):
                outcome = future.result()
                del left[outcome.experiment.id]
                yield outcome
    except BrokenProcessPool:
        with ThreadPoolExecutor(workers) as threads:
            yield from threads.map(functools.partial(_alone, one), left.values())


def _alone(one: Job, experiment: Experiment) -> Outcome:
    try:
        with _processes(1) as pool:
            return pool.submit(one, experiment).result()
    except BrokenProcessPool:
        return Outcome(experiment, error="its process died (killed, or out of memory)")


def _processes(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))


def _one(experiment: Experiment, root: str | Path, data: str | Path | None) -> Outcome:
    try:
        options = experiment.task_options
        task = functools.partial(_task, experiment.task, options, data, os.environ.get("SECATEUR_DATA"))
        return Outcome(experiment, run(experiment, root, data=data, task=task))
    except SecateurError as e:
        return Outcome(experiment, error=str(e))
    except (Exception, SystemExit) as e:  # whatever a user's model raises
        return Outcome(experiment, error=f"{type(e).__name__}: {e}")


@functools.lru_cache(maxsize=1)
def _task(name: str, options: Options, data: str | Path | None, where: str | None) -> Task:
    """The task of a worker's last run: reading pictures can take longer than training on them."""
    return Task(load_data(name, data, **dict(options)))
