"""Who does the runs: this process, or several of this machine, each with a core or a GPU of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from ..core.errors import SecateurError
from .experiment import Experiment
from .imports import Source
from .one import Busy, Ended, Lost, Outcome, run_one

__all__ = ["DIED", "Alone", "Crew", "Processes", "Step", "count_cores", "find_gpus"]

DIED = "its process died (killed, or out of memory)"
_SAY_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Step:
    """How far a run is: its stage, steps done, steps in all."""

    id: str
    stage: str
    step: int
    steps: int


Event = Ended | Lost | Busy | Step


class Crew(Protocol):
    """What runs experiments."""

    shares_memory: bool
    """Whether a run that had no memory left may go well when it runs alone."""

    @property
    def room(self) -> int:
        """How many more it can begin now."""

    def begin(self, experiment: Experiment) -> None:
        """Begin a run."""

    def events(self, seconds: float) -> Iterator[Event]:
        """What has happened; waits for something, but no longer than so many seconds."""

    def close(self) -> None:
        """Stop whatever is under way."""


class Alone:
    """This process, a run at a time, on one thread: how a sum is split decides its last bits.

    Args:
        root: folder of all runs.
        data: where to look for data sets first.
        say: told each step at once.
    """

    shares_memory = True

    def __init__(self, root: str | Path, data: str | Path | None, say: Callable[[Step], None]) -> None:
        self._root, self._data, self._say = root, data, say
        self._ended: list[Event] = []

    @property
    def room(self) -> int:
        """One at a time."""
        return 1 - len(self._ended)

    def begin(self, experiment: Experiment) -> None:
        """Run it to its end."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            tell = _sparing(lambda *now: self._say(Step(experiment.id, *now)))
            self._ended.append(run_one(experiment, self._root, self._data, tell))
        finally:
            torch.set_num_threads(threads)

    def events(self, seconds: float) -> Iterator[Event]:
        """The run's end."""
        if not self._ended:
            time.sleep(seconds)
        while self._ended:
            yield self._ended.pop()

    def close(self) -> None:
        """Nothing is under way."""


class Processes:
    """Processes of this machine; one that dies takes its own run along, and no other.

    Args:
        count: how many at most; they are started when there is work for them.
        root: folder of all runs.
        data: where to look for data sets first.
        sources: the user's files, imported in each.
        gpus: shared out in turn; none for runs on cores.
    """

    shares_memory = True

    def __init__(
        self,
        count: int,
        root: str | Path,
        data: str | Path | None = None,
        sources: Sequence[Source] = (),
        gpus: Sequence[str] = (),
    ) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._given = (str(root), data, tuple(sources))
        self._gpus = list(gpus)
        self._seats: list[_Seat | None] = [None] * count

    @property
    def room(self) -> int:
        """Processes without work, those not yet started included."""
        return sum(s is None or s.doing is None for s in self._seats)

    def begin(self, experiment: Experiment) -> None:
        """Hand it to a process without work, or to a new one."""
        idle = [i for i, s in enumerate(self._seats) if s is not None and s.doing is None]
        place = idle[0] if idle else self._seats.index(None)
        seat = self._seats[place] or self._start(place)
        try:
            seat.pipe.send(experiment)
        except OSError:  # it died while it had nothing to do
            seat.stop()
            seat = self._start(place)
            seat.pipe.send(experiment)
        seat.doing = experiment

    def _start(self, place: int) -> _Seat:
        ours, theirs = self._context.Pipe()
        gpu = self._gpus[place % len(self._gpus)] if self._gpus else None
        process = self._context.Process(target=_serve, args=(theirs, *self._given, gpu), daemon=True)
        process.start()
        theirs.close()  # so that its end is ours to see
        self._seats[place] = seat = _Seat(process, ours)
        return seat

    def events(self, seconds: float) -> Iterator[Event]:
        """What the processes have said since, and which of them died."""
        seats = {s.pipe: i for i, s in enumerate(self._seats) if s is not None and s.doing is not None}
        if not seats:
            time.sleep(seconds)
        for pipe in multiprocessing.connection.wait(list(seats), seconds) if seats else ():
            place = seats[pipe]  # type: ignore[index]
            seat = self._seats[place]
            assert seat is not None
            assert seat.doing is not None
            try:
                event: Event = seat.pipe.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                self._seats[place] = None
                seat.stop()
                event = Lost(seat.doing.id, DIED)
            if not isinstance(event, Step):
                seat.doing = None
            yield event

    def close(self) -> None:
        """End the processes; what was under way goes on from its last checkpoint another time."""
        for i, seat in enumerate(self._seats):
            if seat is not None:
                seat.stop()
            self._seats[i] = None


@dataclass
class _Seat:
    process: Any
    pipe: multiprocessing.connection.Connection[Any, Any]
    doing: Experiment | None = None

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _serve(
    pipe: multiprocessing.connection.Connection[Any, Any],
    root: str,
    data: str | Path | None,
    sources: Sequence[Source],
    gpu: str | None,
) -> None:
    """What a process does: runs, one after the other, until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA is looked at
    torch.set_num_threads(1)
    wrong: str | None = None
    try:
        for source in sources:
            source.load()
    except SecateurError as e:
        wrong = str(e)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            experiment = pipe.recv()
            tell = _sparing(lambda *now, id=experiment.id: pipe.send(Step(id, *now)))
            pipe.send(run_one(experiment, root, data, tell) if wrong is None else Ended(Outcome(experiment, error=wrong)))


def _sparing(say: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    """The same, but not more often than eyes can see, and a stage's first and last step always."""
    told, last = 0.0, ""

    def tell(stage: str, step: int, steps: int) -> None:
        nonlocal told, last
        now = time.monotonic()
        if stage != last or step == steps or now - told >= _SAY_EVERY:
            told, last = now, stage
            say(stage, step, steps)

    return tell


def count_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_gpus() -> list[str]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them; no CUDA context is made."""
    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]
