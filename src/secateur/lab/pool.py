"""Run many experiments on the cores at hand."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import SecateurError
from .experiment import Experiment
from .run import run

__all__ = ["Outcome", "run_all"]


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its result, or the sentence that says why there is none."""

    experiment: Experiment
    result: dict[str, Any] | None = None
    error: str | None = None


def run_all(
    experiments: Sequence[Experiment],
    root: str | Path,
    *,
    data: str | Path | None = None,
    workers: int | None = None,
    told: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Run experiments side by side, one thread each, dense networks first; a run that fails costs only itself.

    Args:
        experiments: what to run; the dense networks they start from are added.
        root: folder of all runs.
        data: where to look for data sets first.
        workers: processes; None for one a core. With 1 everything runs in this process.
        told: called with each outcome as it comes.

    Returns:
        One outcome an experiment, in the order given; those of added dense networks follow.
    """
    starts = {e.dense().id: e.dense() for e in experiments}
    dense = [e for e in starts.values() if e not in experiments]
    waves = [[e for e in (*experiments, *dense) if e.recipe is None], [e for e in experiments if e.recipe is not None]]
    workers = workers or os.cpu_count() or 1
    found: dict[str, Outcome] = {}
    if workers == 1:
        for e in (e for wave in waves for e in wave):
            found[e.id] = _one(e, root, data)
            if told is not None:
                told(found[e.id])
    else:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
            for wave in waves:
                futures = {pool.submit(_one, e, root, data): e for e in wave}
                for future in as_completed(futures):
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        outcome = Outcome(futures[future], error="its process died (killed, or out of memory)")
                    found[outcome.experiment.id] = outcome
                    if told is not None:
                        told(outcome)
    return [found[e.id] for e in (*experiments, *dense)]


def _one_thread() -> None:
    torch.set_num_threads(1)


def _one(experiment: Experiment, root: str | Path, data: str | Path | None) -> Outcome:
    try:
        return Outcome(experiment, run(experiment, root, data=data))
    except SecateurError as e:
        return Outcome(experiment, error=str(e))
    except RuntimeError as e:  # out of memory, and whatever a user's model raises
        return Outcome(experiment, error=f"{type(e).__name__}: {e}")
