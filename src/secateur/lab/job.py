"""One run under way: what is trained, pruned and recovered, and how it goes on after it was stopped."""

from __future__ import annotations

import copy
import dataclasses as dc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..codec import load
from ..core.errors import ModelError, RunError
from ..pruner import Pruner
from ..recovery import Reinitialize, recalibrate_
from ..schedule import DropGrow
from ..sharer import Sharer
from ..training import Progress, Task, Training, fit
from ..training.loop import mix_seeds
from ..training.models import find_checkpoint, load_checkpoint
from .begin import check_steps, make_pruner, prunes_in_training, recovery_training, traced_with, training_batches
from .controls import as_much_computation, at_random, correct_spread_, hold
from .cost import Cost
from .experiment import Experiment
from .figures import effective_macs, macs_by_name
from .store import RunFolder

__all__ = ["Job", "Say"]

Say = Callable[[str, int, int], None]
"""What a run tells while it works: the stage, steps done, steps in all."""


class Job:
    """One run under way: the model, the pruner, and where it is."""

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        task: Task,
        keep_every: float,
        say: Say | None,
        dense: dict[str, Any] | None,
        data: str | Path | None = None,
    ) -> None:
        self.data = data
        self.experiment, self.folder, self.task, self.say, self.dense = experiment, folder, task, say, dense
        self.keep_every, self.kept = keep_every, time.perf_counter()
        torch.manual_seed(mix_seeds(experiment.seed, 0 if experiment.control is None else 6))  # a control's weights are others
        self.model = experiment.build_model()
        self.pruner: Pruner | None = None
        self.sharer: Sharer | None = None
        self.before: dict[str, float] | None = None
        self.history: list[dict[str, Any]] = []
        self.at = Progress()
        self.cost = Cost()
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
            load_checkpoint(self.model, find_checkpoint(self.experiment.pretrained, self.data))
            return
        self._resume()
        self._fit("training", self.experiment.training)

    def prune_and_recover(self, root: str | Path) -> dict[str, float] | None:
        """Prune by the recipe, each round recovered; the test figures right after the last pruning, before training goes on."""
        experiment, recipe = self.experiment, self.experiment.recipe
        assert recipe is not None
        first_training = recipe.recovery.snapshot_at is not None and experiment.trains_first  # the pruner must see it: θ_k
        earlier = experiment.follows()
        behind = earlier is not None and earlier.recipe is not None  # rounds that another run has done
        if earlier is not None and (behind or not first_training):
            load(Path(root) / earlier.id / "model.safetensors", self.model)
        self.pruner = make_pruner(experiment, self.model, self.task)
        settings = self._recovery_training()
        check_steps(self.pruner.recipe, settings.steps(len(self.task.data.train)))
        if earlier is not None and behind:
            self._go_on_from(RunFolder(root, earlier.id))
        done = self.pruner.round if behind else -1
        self._resume()
        if prunes_in_training(recipe):
            if isinstance(recipe.schedule, DropGrow) and recipe.schedule.begin == 0 and self.pruner.events == 0:
                self.pruner.prune()  # sparse from the first step on
            self._fit("pruning while training", settings)
            return None
        for _ in self.pruner.rounds():
            r = self.pruner.round
            if r == done:
                continue
            if r == 0:
                if first_training:
                    self._fit("training", experiment.training)
                continue
            last = recipe.schedule.at_round(r + 1) is None
            if last and self.saved is None:
                self.before = self.task.evaluate(self.model, self.task.data.test)
            self._fit(f"recovery, round {r}", self._recovery_training())
        return self.before

    def share_and_tune(self, root: str | Path) -> dict[str, float] | None:
        """Share the weights of the pruned network and tune the values; the test figures before the tuning."""
        experiment, earlier = self.experiment, self.experiment.follows()
        assert experiment.pipeline is not None
        assert earlier is not None
        share, training = experiment.pipeline.share, experiment.training
        load(Path(root) / earlier.id / "model.safetensors", self.model)
        batches = training_batches(experiment, self.task, share.recalibrate)
        self.sharer = Sharer(self.model, share, data=batches)
        if share.recalibrate:
            recalibrate_(self.model, batches, examples=share.recalibrate)
        if self.saved is None:
            self.before = self.task.evaluate(self.model, self.task.data.test)
        self._resume()
        rate = share.learning_rate or training.learning_rate / 1000
        settings = dc.replace(training, epochs=share.epochs, learning_rate=rate, weight_decay=0.0, warmup=0.0, patience=None)
        self._fit("tuning shared values", settings)
        self.sharer.finish()
        return self.before

    def train_control(self, root: str | Path) -> None:
        """Train new weights under the masks of the finished pruned network, or under random ones."""
        recipe, control, base = self.experiment.recipe, self.experiment.control, self.experiment.follows()
        assert recipe is not None
        assert base is not None
        folder, example, settings = RunFolder(root, base.id), traced_with(recipe, self.task), self.experiment.training
        kept = folder.load_pruner()
        if control == "random_mask":
            drawn = self.experiment.build_model()
            kept = at_random(drawn, recipe, kept, mix_seeds(self.experiment.seed, 7), example)
        self.pruner = hold(self.model, recipe, kept, example)
        if control in ("scratch_e", "scratch_b"):
            correct_spread_(self.pruner)
        if control == "scratch_b":
            settings = as_much_computation(settings, (folder.read_result() or {})["speedup"])
        self._resume()
        for _ in self.pruner.rounds():
            self._fit(control or "", settings)

    def early_stop(self) -> dict[str, Any] | None:
        """The last training's step of least validation loss, and the test figures there; None where it was not followed."""
        if self.at.best_weights is None:
            return None
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.at.best_weights)
        test = self.task.evaluate(model, self.task.data.test)
        return {"step": self.at.best_step, "validation_loss": self.at.best, "test": test}

    def keep_pruner(self) -> None:
        """Keep the masks for controls, and for a next round what the survivors go back to."""
        if self.pruner is not None:
            state = self.pruner.state_dict()
            self.folder.save_checkpoint({"pruner": state if self.experiment.goes_on else {**state, "snapshot": None}}, "pruner")

    def _go_on_from(self, earlier: RunFolder) -> None:
        """Take over the masks, the counters and what the survivors go back to from a run with one round less."""
        assert self.pruner is not None
        result = earlier.read_result() or {}
        self.pruner.load_state_dict({**earlier.load_pruner(), "recipe": self.pruner.recipe.to_dict()})
        self.history, self.earlier = list(result["history"]), result["seconds"]
        self.cost.restore(result.get("cost"))

    def dense_model(self, root: str | Path) -> nn.Module:
        """The network before pruning, to time against; the network itself when it is dense."""
        if self.experiment.recipe is None:
            return self.model
        model = self.experiment.build_model()
        path = Path(root) / self.experiment.dense().id / "model.safetensors"
        return load(path, model) if path.exists() else model

    def _recovery_training(self) -> Training:
        recovery = self.pruner.recipe.recovery if self.pruner is not None else None
        if isinstance(recovery, Reinitialize) and recovery.budget == "computation":
            return as_much_computation(self.experiment.training, self._speedup())
        return recovery_training(self.experiment.training, recovery)

    def _speedup(self) -> float | None:
        """Multiply-adds of the dense network over those that meet a weight that is left."""
        assert self.pruner is not None
        found = self.dense["macs_by_name"] if self.dense is not None else macs_by_name(self.model, self.task.example_inputs()[:1])
        if found is None:
            return None
        left = effective_macs(found, {n: (int(m.sum()), m.numel()) for n, m in self.pruner.masks.items()})
        return float(sum(found.values())) / max(1, left)

    def _fit(self, stage: str, settings: Training) -> None:
        stepped = self.sharer or self.pruner
        self.at = Progress(step=0 if stepped is None else stepped.t)
        if self.saved is not None:  # the stage the checkpoint was taken in
            self.at, self.saved = Progress(**self.saved["progress"]), None
        steps, began = settings.steps(len(self.task.data.train)), self.at.step

        def keep(step: int, now: Callable[[], Progress]) -> None:
            self.cost.poll()
            if self.say is not None:
                self.say(stage, step, steps)
            if time.perf_counter() - self.kept >= self.keep_every:
                self._keep(now(), self.cost.state(step - began))

        seed = mix_seeds(self.experiment.seed, 5 if self.sharer is None else 8, 0 if self.pruner is None else self.pruner.round)
        rows = fit(self.model, self.task, settings, pruner=stepped, seed=seed, progress=self.at, keep=keep)
        self.cost.steps += self.at.step - began
        self.history += [{"stage": stage, **row} for row in rows]

    def _keep(self, at: Progress, cost: dict[str, Any]) -> None:
        stepped = self.sharer or self.pruner
        self.folder.save_checkpoint(
            {
                "model": self.model.state_dict(),
                "pruner": None if stepped is None else stepped.state_dict(),
                "progress": dc.asdict(at),
                "before": self.before,
                "history": self.history,
                "seconds": self.seconds,
                "cost": cost,
            }
        )
        self.kept = time.perf_counter()

    def _resume(self) -> None:
        if self.saved is None:
            return
        try:
            self.model.load_state_dict(self.saved["model"])
            stepped = self.sharer or self.pruner
            if stepped is not None:
                stepped.load_state_dict(self.saved["pruner"])
            self.before, self.history, self.earlier = self.saved["before"], self.saved["history"], self.saved["seconds"]
            self.cost.restore(self.saved.get("cost"))
        except (RuntimeError, ModelError, KeyError, TypeError) as e:  # the model's code changed, or an older release wrote it
            path, why = str(self.folder.path / "checkpoint.pt"), " ".join(str(e).split())
            raise RunError(f"{path!r} does not fit this experiment's model ({why}); delete it to start the run again") from e
