"""What a pruned run begins with: its pruner, with the data it sees, and whether all fits, before any training."""

from __future__ import annotations

import dataclasses as dc
import math
from typing import Any

import torch
from torch import nn

from ..core.errors import RecipeError
from ..goal import Compression
from ..pruner import Pruner
from ..recipe import Recipe
from ..recovery import Finetune, Reconstruct, Recovery
from ..training import Task, Training
from ..training.loop import mix_seeds
from .experiment import Experiment

__all__ = ["check_steps", "make_pruner", "prunes_in_training", "recovery_training", "traced_with", "training_batches"]

_SCORED, _BATCH = 512, 64  # training examples that statistics are taken over: as many, or as a recovery recalibrates with


def make_pruner(experiment: Experiment, model: nn.Module, task: Task) -> Pruner:
    """The pruner of an experiment with a recipe.

    Args:
        experiment: whose recipe and compression.
        model: the network to prune.
        task: where training examples and example inputs come from.

    Raises:
        ModelError: the recipe and the network do not fit each other, or the compression is out of reach.
    """
    recipe = experiment.recipe
    assert recipe is not None
    target = None if experiment.compression is None else Compression(experiment.compression)
    batches = training_batches(experiment, task, recipe.recovery.recalibration)
    return Pruner(model, recipe, example_inputs=traced_with(recipe, task), target=target, data=batches)


def traced_with(recipe: Recipe, task: Task) -> Any:
    """What units that reach over layers are traced with; None for others."""
    structure = recipe.structure
    return task.example_inputs() if structure.couples or not structure.alone else None


def training_batches(experiment: Experiment, task: Task, recalibration: int) -> list[Any]:
    """Training examples that scores and batch norms take their statistics over; varied as in training if norms do."""
    data, count = task.data, max(_SCORED, math.ceil(recalibration / _BATCH) * _BATCH)
    draw = torch.Generator().manual_seed(mix_seeds(experiment.seed, 4))
    inputs, targets = data.train[torch.randperm(len(data.train), generator=draw)[:count]]
    if recalibration and experiment.training.augment and data.augment is not None:
        inputs = data.augment(inputs, draw)  # statistics of pictures as they are would be of other pictures
    return list(task.batches(type(data.train)(inputs, targets), _BATCH))


def recovery_training(training: Training, recovery: Recovery | None) -> Training:
    """How the survivors are trained: as the dense network was, as a fine-tuning says, or not where they are refitted."""
    if isinstance(recovery, Reconstruct):
        return dc.replace(training, epochs=0.0)
    if not isinstance(recovery, Finetune):
        return training
    rate = recovery.learning_rate or training.learning_rate / 10
    return dc.replace(training, epochs=recovery.epochs, learning_rate=rate, warmup=0.0)


def prunes_in_training(recipe: Recipe) -> bool:
    """Whether the schedule's steps are of the one training, rather than its rounds between several."""
    waits = recipe.schedule.last_step > 0 and recipe.recovery.snapshot_at is None
    return "rounds" not in recipe.schedule.counts or waits


def check_steps(recipe: Recipe, steps: int) -> None:
    """Refuse a ramp or a rewinding step that the training does not reach.

    Args:
        recipe: what prunes.
        steps: of the training it happens in.

    Raises:
        RecipeError: it has fewer.
    """
    end = recipe.schedule.last_step if prunes_in_training(recipe) else 0
    if end > steps:
        raise RecipeError(f"the schedule ends at step {end}, and the training it happens in has {steps} steps; end it earlier")
    back = recipe.recovery.resume_at
    if back > steps:
        raise RecipeError(
            f"recovery {recipe.recovery.name!r} goes back to step {back}, but the training has {steps} steps; go less far"
        )
