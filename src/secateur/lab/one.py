"""One run of many, in whatever process: its result, or the sentence that says why there is none."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..core.errors import SecateurError
from ..training import Task
from ..training.data import load_data
from .experiment import Experiment, Options
from .imports import check_sources
from .job import Say
from .run import run
from .store import RunBusy

__all__ = ["Busy", "Ended", "Lost", "Outcome", "run_one"]


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment: its result, or the sentence that says why there is none.

    Args:
        experiment: which.
        result: what ``result.json`` holds.
        error: why there is none.
        tries: how many times it was begun here; 0 when it was finished already.
    """

    experiment: Experiment
    result: dict[str, Any] | None = None
    error: str | None = None
    tries: int = 1


@dataclass(frozen=True)
class Ended:
    """A run has ended, well or not."""

    outcome: Outcome


@dataclass(frozen=True)
class Lost:
    """A run's process died, or had no memory left: it may go well another time."""

    id: str
    why: str


@dataclass(frozen=True)
class Busy:
    """Another process works on the run."""

    id: str


def run_one(
    experiment: Experiment,
    root: str | Path,
    data: str | Path | None = None,
    say: Say | None = None,
    task: Callable[[], Task] | None = None,
) -> Ended | Lost | Busy:
    """Run an experiment, whatever a user's model raises."""
    try:
        check_sources(experiment)
        options = experiment.task_options
        load = task or functools.partial(_task, experiment.task, options, data, os.environ.get("SECATEUR_DATA"))
        return Ended(Outcome(experiment, run(experiment, root, data=data, say=say, task=load, wait=False)))
    except RunBusy:
        return Busy(experiment.id)
    except SecateurError as e:
        return Ended(Outcome(experiment, error=str(e)))
    except (MemoryError, torch.OutOfMemoryError) as e:
        return Lost(experiment.id, f"it ran out of memory ({' '.join(str(e).split()) or type(e).__name__})")
    except (Exception, SystemExit) as e:
        return Ended(Outcome(experiment, error=f"{type(e).__name__}: {e}"))


@functools.lru_cache(maxsize=1)
def _task(name: str, options: Options, data: str | Path | None, where: str | None) -> Task:
    """The task of a process's last run: reading pictures can take longer than training on them."""
    return Task(load_data(name, data, **dict(options)))
