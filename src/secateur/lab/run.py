"""Run an experiment: train, prune, recover, save, measure; resumable at any moment, never done twice."""

from __future__ import annotations

import dataclasses as dc
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..codec import load, save
from ..core.environment import environment
from ..core.errors import ModelError, RecipeError, RunError
from ..goal import Compression
from ..pruner import Pruner
from ..recovery import Finetune
from ..training import Progress, Task, Training, fit
from ..training.loop import mix_seeds
from ..training.models import load_checkpoint
from .experiment import Experiment
from .figures import figures
from .store import RunFolder

__all__ = ["Say", "load_model", "run"]

Say = Callable[[str, int, int], None]
"""What a run tells while it works: the stage, steps done, steps in all."""

_SCORED, _BATCH = 512, 64  # training examples that statistics are taken over: as many, or as a recovery recalibrates with


def run(
    experiment: Experiment, root: str | Path, *, data: str | Path | None = None, keep_every: float = 20.0, say: Say | None = None
) -> dict[str, Any]:
    """Run an experiment to its result, or read the result of an earlier run.

    Killed at any moment and called again it continues from the last checkpoint, and on a CPU ends with the bits of an
    uninterrupted run. A second process that asks for the same run waits for the first one.

    Args:
        experiment: what to do.
        root: folder of all runs; this one's is ``root/<id>``.
        data: where to look for the data set first.
        keep_every: seconds between checkpoints.
        say: told the stage and the steps done.

    Returns:
        What ``result.json`` holds.

    Raises:
        RunError: the folder cannot be written, or a file in it is corrupt.
    """
    folder = RunFolder(root, experiment.id)
    done = folder.read_result()
    if done is not None:
        return done
    dense: dict[str, Any] | None = None
    if experiment.recipe is not None and experiment.start == "dense":
        dense = run(experiment.dense(), root, data=data, keep_every=keep_every, say=say)
    with folder.lock():
        done = folder.read_result()  # another process may have finished it while we waited
        if done is None:
            folder.write_text("experiment.yaml", experiment.to_yaml())
            _work(_Job(experiment, folder, experiment.load_task(data), keep_every, say), Path(root), dense)
            done = folder.read_result()
        folder.drop_checkpoint()
    if done is None:
        raise RunError(f"{str(folder.path / 'result.json')!r} was deleted while the run ended; run the experiment again")
    return done


def _work(job: _Job, root: Path, dense: dict[str, Any] | None) -> None:
    """From wherever the job is to its result."""
    experiment, folder = job.experiment, job.folder
    before = None
    if experiment.recipe is None:
        job.train_dense()
    else:
        before = job.prune_and_recover(root)
    seconds = job.seconds
    weights = folder.path / "model.safetensors"
    recipe = {} if job.pruner is None else {"recipe": job.pruner.recipe}
    save(job.model, weights, metadata={"experiment": experiment.id, **recipe})
    result = {
        "id": experiment.id,
        "experiment": experiment.to_dict(),
        **figures(job.model, job.dense_model(root), job.task, weights, before=before, dense=dense),
        "seconds": seconds,
        "history": job.history,
        "environment": environment(),
    }
    folder.write_json("result", result)


def load_model(experiment: Experiment, root: str | Path) -> nn.Module:
    """The network a finished run ended with.

    Raises:
        RunError: the run has not finished.
    """
    path = Path(root) / experiment.id / "model.safetensors"
    if not path.exists():
        raise RunError(f"run {experiment.id} has no network yet: {str(path)!r} does not exist; run the experiment first")
    return load(path, experiment.build_model())


class _Job:
    """One run under way: the model, the pruner, and where it is."""

    def __init__(self, experiment: Experiment, folder: RunFolder, task: Task, keep_every: float, say: Say | None) -> None:
        self.experiment, self.folder, self.task, self.say = experiment, folder, task, say
        self.keep_every, self.kept = keep_every, time.perf_counter()
        torch.manual_seed(mix_seeds(experiment.seed, 0))
        self.model = experiment.build_model()
        self.pruner: Pruner | None = None
        self.before: dict[str, float] | None = None
        self.history: list[dict[str, Any]] = []
        self.earlier = 0.0
        self.began = time.perf_counter()
        self.saved = folder.load_checkpoint()

    @property
    def seconds(self) -> float:
        """What the run took so far, earlier processes included."""
        return self.earlier + time.perf_counter() - self.began

    def train_dense(self) -> None:
        """Train the network, or take the pretrained one."""
        if self.experiment.pretrained is not None:
            load_checkpoint(self.model, self.experiment.pretrained)
            return
        self._resume()
        self._fit("training", self.experiment.training)

    def prune_and_recover(self, root: str | Path) -> dict[str, float] | None:
        """Prune by the recipe, each round recovered; the test figures right after the last pruning, before training goes on."""
        experiment, recipe = self.experiment, self.experiment.recipe
        assert recipe is not None
        first_training = recipe.recovery.snapshot_at is not None and experiment.trains_first  # the pruner must see it: θ_k
        if experiment.start == "dense" and not first_training:
            load(Path(root) / experiment.dense().id / "model.safetensors", self.model)
        target = None if experiment.compression is None else Compression(experiment.compression)
        batches = self._training_batches(recipe.recovery.recalibration)
        whole = recipe.structure.couples or not recipe.structure.alone  # units that reach over layers
        example = self.task.example_inputs() if whole else None
        self.pruner = Pruner(self.model, recipe, example_inputs=example, target=target, data=batches)
        settings = self._recovery_training()
        self._check_steps(settings)
        self._resume()
        if self._prunes_in_training:
            self._fit("pruning while training", settings)
            return None
        for _ in self.pruner.rounds():
            r = self.pruner.round
            if r == 0:
                if first_training:
                    self._fit("training", experiment.training)
                continue
            last = recipe.schedule.at_round(r + 1) is None
            if last and self.saved is None:
                self.before = self.task.evaluate(self.model, self.task.data.test)
            self._fit(f"recovery, round {r}", settings)
        return self.before

    def dense_model(self, root: str | Path) -> nn.Module:
        """The network before pruning, to time against; the network itself when it is dense."""
        if self.pruner is None:
            return self.model
        model = self.experiment.build_model()
        path = Path(root) / self.experiment.dense().id / "model.safetensors"
        return load(path, model) if path.exists() else model

    def _recovery_training(self) -> Training:
        training = self.experiment.training
        recovery = self.pruner.recipe.recovery if self.pruner is not None else None
        if not isinstance(recovery, Finetune):
            return training
        rate = recovery.learning_rate or training.learning_rate / 10
        return dc.replace(training, epochs=recovery.epochs, learning_rate=rate, warmup=0.0)

    @property
    def _prunes_in_training(self) -> bool:
        """Whether the schedule's steps are of the one training, rather than its rounds between several."""
        recipe = self.experiment.recipe
        assert recipe is not None
        waits = recipe.schedule.last_step > 0 and recipe.recovery.snapshot_at is None
        return "rounds" not in recipe.schedule.counts or waits

    def _check_steps(self, settings: Training) -> None:
        """Refuse, before any work, a ramp or a rewinding step that the training does not reach."""
        recipe, steps = self.experiment.recipe, settings.steps(len(self.task.data.train))
        assert recipe is not None
        end = recipe.schedule.last_step if self._prunes_in_training else 0
        if end > steps:
            raise RecipeError(
                f"the schedule ends at step {end}, and the training it happens in has {steps} steps; end it earlier"
            )
        back = recipe.recovery.snapshot_at or 0
        if back > steps:
            raise RecipeError(
                f"recovery {recipe.recovery.name!r} goes back to step {back}, but the training has {steps} steps; go less far"
            )

    def _training_batches(self, recalibration: int) -> list[Any]:
        """Training examples that scores and batch norms take their statistics over; varied as in training if norms do."""
        data, count = self.task.data, max(_SCORED, math.ceil(recalibration / _BATCH) * _BATCH)
        draw = torch.Generator().manual_seed(mix_seeds(self.experiment.seed, 4))
        inputs, targets = data.train[torch.randperm(len(data.train), generator=draw)[:count]]
        if recalibration and self.experiment.training.augment and data.augment is not None:
            inputs = data.augment(inputs, draw)  # statistics of pictures as they are would be of other pictures
        return list(self.task.batches(type(data.train)(inputs, targets), _BATCH))

    def _fit(self, stage: str, settings: Training) -> None:
        progress = None
        if self.saved is not None:  # the stage the checkpoint was taken in
            progress, self.saved = Progress(**self.saved["progress"]), None
        steps = settings.steps(len(self.task.data.train))

        def keep(step: int, now: Callable[[], Progress]) -> None:
            if self.say is not None:
                self.say(stage, step, steps)
            if time.perf_counter() - self.kept >= self.keep_every:
                self._keep(now())

        start = self.pruner.t if self.pruner is not None else 0
        seed = mix_seeds(self.experiment.seed, 5, self.pruner.round if self.pruner is not None else 0)
        rows = fit(self.model, self.task, settings, pruner=self.pruner, seed=seed, start=start, progress=progress, keep=keep)
        self.history += [{"stage": stage, **row} for row in rows]

    def _keep(self, at: Progress) -> None:
        self.folder.save_checkpoint(
            {
                "model": self.model.state_dict(),
                "pruner": None if self.pruner is None else self.pruner.state_dict(),
                "progress": dc.asdict(at),
                "before": self.before,
                "history": self.history,
                "seconds": self.seconds,
            }
        )
        self.kept = time.perf_counter()

    def _resume(self) -> None:
        if self.saved is None:
            return
        try:
            self.model.load_state_dict(self.saved["model"])
            if self.pruner is not None:
                self.pruner.load_state_dict(self.saved["pruner"])
            self.before, self.history, self.earlier = self.saved["before"], self.saved["history"], self.saved["seconds"]
        except (RuntimeError, ModelError, KeyError, TypeError) as e:  # the model's code changed, or an older release wrote it
            path, why = str(self.folder.path / "checkpoint.pt"), " ".join(str(e).split())
            raise RunError(f"{path!r} does not fit this experiment's model ({why}); delete it to start the run again") from e
