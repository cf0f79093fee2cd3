"""Runs on a Ray cluster: placed by Ray, with what they go on from and what they end with in its object store."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..core.errors import RunError, SecateurError, require
from ..core.files import atomic_write
from ..training import Task
from ..training.models import find_checkpoint
from .crew import DIED, Event, Step
from .experiment import Experiment
from .imports import Source, import_source, is_loaded
from .one import Busy, Ended, Lost, Outcome, run_one
from .store import RunBusy, RunFolder

__all__ = ["Cluster"]

_FILES = ("experiment.yaml", "model.safetensors", "pruner.pt", "result.json")  # in the order in which they are written
Files = dict[str, bytes]


class Cluster:
    """The machines of a Ray cluster; a run whose machine dies is begun again on another.

    This process loads the data sets and reads and writes the folder of the runs; the others need this library and nothing
    else. Where they see that folder too, a run that is begun again goes on from its last checkpoint.

    Args:
        address: ``auto`` for the cluster this machine is part of, or that of its head.
        root: folder of all runs.
        data: where to look for data sets first.
        sources: the user's files, which are sent along.

    Raises:
        DependencyError: Ray is not installed.
        RunError: there is no such cluster.
    """

    shares_memory = False

    def __init__(self, address: str, root: str | Path, data: str | Path | None = None, sources: Sequence[Source] = ()) -> None:
        self._ray = ray = require("ray", "cluster")
        self._root, self._data, self._sources = Path(root), data, tuple(sources)
        self._shared_folder = SharedFolder.mark(self._root)
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as e:
                why = str(e).split("\n")[0]
                raise RunError(f"no Ray cluster answers at {address!r} ({why}); start one: ray start --head") from e
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        self._place = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_on_node)
        self._kind = "GPU" if gpus else "CPU"
        self._under_way: dict[Any, _Placed] = {}
        self._said: list[Event] = []
        self._shared: dict[Any, Any] = {}

    @property
    def room(self) -> int:
        """As many runs as there are places, and as many again that wait in Ray's own line."""
        return 2 * self.places - len(self._under_way)

    @property
    def places(self) -> int:
        """Cores, or GPUs, of the cluster as it is now."""
        return max(1, int(self._ray.cluster_resources().get(self._kind, 0)))

    def begin(self, experiment: Experiment) -> None:
        """Hold the run's folder, and give the run to Ray."""
        placed = _Placed(experiment)
        try:
            folder = RunFolder(self._root, experiment.id)
            placed.held.enter_context(folder.lock(wait=False))
            done = folder.read_result()
            if done is not None:  # another sweep has finished it in the meantime
                placed.held.close()
                self._said.append(Ended(Outcome(experiment, done)))
                return
            self._submit(placed)
        except RunBusy:
            self._said.append(Busy(experiment.id))
        except SecateurError as e:
            placed.held.close()
            self._said.append(Ended(Outcome(experiment, error=str(e))))

    def _submit(self, placed: _Placed) -> None:
        e = placed.experiment
        dense = e.dense() if e.recipe is not None and e.start == "dense" else None
        earlier = {b.id: self._share(b.id, lambda b=b: _read(self._root / b.id)) for b in (e.follows(), dense) if b is not None}
        task = self._share((e.task, e.task_options), lambda: e.load_task(self._data))
        checkpoint = None
        if e.recipe is None and e.pretrained is not None:
            checkpoint = find_checkpoint(e.pretrained, self._data).read_bytes()
        given = (e.to_dict(), self._sources, task, checkpoint, self._shared_folder, list(earlier), *earlier.values())
        self._under_way[self._place.remote(*given)] = placed

    def _share(self, key: Any, make: Any) -> Any:
        """A value in the object store, put there once."""
        if key not in self._shared:
            self._shared[key] = self._ray.put(make())
        return self._shared[key]

    def events(self, seconds: float) -> Iterator[Event]:
        """Runs that have ended; their files are in their folders."""
        while self._said:
            yield self._said.pop()
            seconds = 0.0
        if not self._under_way:
            return
        ready, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=seconds)
        for ref in ready:
            yield from self._ended(self._under_way.pop(ref), ref)

    def _ended(self, placed: _Placed, ref: Any) -> Iterator[Event]:
        id, errors = placed.experiment.id, self._ray.exceptions
        try:
            found = self._ray.get(ref)
        except (errors.NodeDiedError, errors.ObjectLostError):
            yield Step(id, "its machine died; begun again on another", 0, 0)
            self._submit(placed)
            return
        except errors.OutOfMemoryError:
            found = Lost(id, "its machine ran out of memory")
        except errors.RayError as e:
            died = isinstance(e, errors.WorkerCrashedError)
            found = Lost(id, DIED) if died else Ended(Outcome(placed.experiment, error=str(e).strip().split("\n")[-1]))
        with placed.held:
            yield found if isinstance(found, Ended | Lost) else self._kept(placed.experiment, found)

    def _kept(self, experiment: Experiment, found: Files | str) -> Event:
        """Write what came back."""
        if isinstance(found, str):
            return Ended(Outcome(experiment, error=found))
        folder = RunFolder(self._root, experiment.id)
        try:
            for name in (n for n in _FILES if n in found):
                with atomic_write(folder.path / name) as f:
                    f.write(found[name])
            folder.drop_checkpoint()
            return Ended(Outcome(experiment, folder.read_result()))
        except RunError as e:
            return Ended(Outcome(experiment, error=str(e)))

    def close(self) -> None:
        """Take back what is under way."""
        for ref, placed in self._under_way.items():
            self._ray.cancel(ref, force=True)
            placed.held.close()
        self._under_way = {}
        self._shared_folder.unmark()
        if self._ours:
            self._ray.shutdown()


@dataclass(frozen=True)
class SharedFolder:
    """The folder of all runs, as a machine finds it that may see it too.

    Args:
        root: its path on the machine that leads.
        token: what is written in it, so that another folder of that name is not taken for it.
    """

    root: str
    token: str

    @classmethod
    def mark(cls, root: Path) -> SharedFolder:
        """Write a mark that others may find."""
        made = cls(str(root.resolve()), secrets.token_hex(8))
        with contextlib.suppress(OSError):  # then nothing is shared
            root.mkdir(parents=True, exist_ok=True)
            made._mark.write_text(made.token, encoding="utf-8")
        return made

    def unmark(self) -> None:
        """Take the mark away."""
        self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return Path(self.root) / f".shared-{self.token}"

    def checkpoint(self, id: str) -> Path | None:
        """Where a run's checkpoint is kept; None on a machine that does not see the folder."""
        return Path(self.root) / id / "checkpoint.pt" if self._mark.exists() else None


class _Keep:
    """Told of a run's steps, keeps each new checkpoint in the shared folder too."""

    def __init__(self, own: Path, shared: Path) -> None:
        self._own, self._shared, self._kept = own, shared, 0
        if shared.exists():
            own.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shared, own)
            self._kept = own.stat().st_mtime_ns

    def __call__(self, stage: str, step: int, steps: int) -> None:
        if self._own.exists() and (now := self._own.stat().st_mtime_ns) != self._kept:
            self._kept = now
            with contextlib.suppress(OSError, RunError), atomic_write(self._shared) as f:  # it costs no run
                f.write(self._own.read_bytes())


@dataclass
class _Placed:
    """A run that Ray has, and the lock on its folder."""

    experiment: Experiment
    held: ExitStack = field(default_factory=ExitStack)


def _read(folder: Path) -> Files:
    return {n: (folder / n).read_bytes() for n in _FILES if (folder / n).exists()}


def _on_node(
    form: dict[str, Any],
    sources: Sequence[Source],
    task: Task,
    checkpoint: bytes | None,
    shared: SharedFolder,
    ids: list[str],
    *earlier: Files,
) -> Files | str | Lost:
    """A run on whatever machine: the files it ends with, or the sentence that says why there are none."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="secateur-") as name:
        root = Path(name)
        for id, files in zip(ids, earlier, strict=True):
            _write(root / "runs" / id, files)
        try:
            for s in sources:
                if not is_loaded(s):
                    _write(root, {f"{s.name}.py": s.text.encode()})
                    import_source(root / f"{s.name}.py")
            experiment = Experiment.from_dict(form)
        except SecateurError as e:
            return str(e)
        (root / "data").mkdir()
        if checkpoint is not None and experiment.pretrained is not None and not Path(experiment.pretrained).is_absolute():
            place = root / "data" / experiment.pretrained
            _write(place.parent, {place.name: checkpoint})
        there = shared.checkpoint(experiment.id)
        keep = None if there is None else _Keep(root / "runs" / experiment.id / "checkpoint.pt", there)
        event = run_one(experiment, root / "runs", root / "data", keep, task=lambda: task)
        if isinstance(event, Lost):
            return event
        assert isinstance(event, Ended)
        return event.outcome.error or _read(root / "runs" / experiment.id)


def _write(folder: Path, files: Files) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
