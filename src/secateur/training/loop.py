"""The ready-made training loop: what you would write yourself, with ``pruner.step()`` after ``optimizer.step()``."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import DataError, require
from ..pruner import Pruner
from .settings import Training
from .task import Task

__all__ = ["Progress", "fit", "mix_seeds"]


@dc.dataclass
class Progress:
    """Where a training is: everything beyond the model and the pruner that resuming it needs.

    Args:
        step: optimizer steps done.
        optimizer: the optimizer's state.
        rng: state of torch's global generator (dropout draws from it).
        losses: training losses of the pass under way.
        history: figures after each pass.
        best: least validation loss so far, for early stopping.
        waited: evaluations since then.
    """

    step: int = 0
    optimizer: dict[str, Any] | None = None
    rng: Tensor | None = None
    losses: list[float] = dc.field(default_factory=list)
    history: list[dict[str, float]] = dc.field(default_factory=list)
    best: float = math.inf
    waited: int = 0


def fit(
    model: nn.Module,
    task: Task,
    settings: Training,
    *,
    pruner: Pruner | None = None,
    seed: int = 0,
    start: int = 0,
    progress: Progress | None = None,
    keep: Callable[[Progress], None] | None = None,
) -> list[dict[str, float]]:
    """Train a model, on whatever devices Hugging Face Accelerate finds.

    The data order of a pass and the learning rate of a step are functions of the seed and the step alone, so that a
    training that was interrupted ends, on a CPU, with the same bits as one that was not.

    Args:
        model: trained in place.
        task: data and loss.
        settings: how.
        pruner: stepped after every optimizer step.
        seed: of the data order, of augmentation and of dropout.
        start: the step to begin at (a rewound training resumes its schedule there).
        progress: where an interrupted training was; None starts a new one.
        keep: called after every step with what resuming there needs.

    Returns:
        Per pass: step, learning rate, training loss, and the validation figures.

    Raises:
        DataError: the loss is no longer a number.
    """
    accelerate = require("accelerate", "train")
    accelerator = _accelerator(accelerate, settings)
    examples = len(task.data.train)
    steps, per_epoch = settings.steps(examples), math.ceil(examples / settings.batch_size)
    fresh = progress is None
    at = Progress(step=start) if progress is None else progress
    prepared, optimizer = accelerator.prepare(model, settings.make_optimizer(model))
    if at.optimizer is not None:
        optimizer.load_state_dict(at.optimizer)
    if pruner is not None:
        pruner.watch(optimizer)
    if fresh:
        torch.manual_seed(mix_seeds(seed, 1))
    elif at.rng is not None:
        torch.set_rng_state(at.rng)
    prepared.train()
    for batch in _training_batches(task, settings, seed, at.step, steps, accelerator):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(at.step, steps)
        loss = task.loss(prepared, batch)
        accelerator.backward(loss)
        if settings.clip is not None:
            accelerator.clip_grad_norm_(prepared.parameters(), settings.clip)
        optimizer.step()
        if pruner is not None:
            pruner.step()
        optimizer.zero_grad()
        at.losses.append(float(loss.detach()))
        if not math.isfinite(at.losses[-1]):
            raise DataError(
                f"the loss is {at.losses[-1]} at step {at.step}: training diverged; lower the learning rate or clip gradients"
            )
        at.step += 1
        if at.step % per_epoch == 0 or at.step == steps:
            stop = _finish_pass(model, task, settings, at, steps)
            if stop:
                break
        if keep is not None:
            at.optimizer, at.rng = optimizer.state_dict(), torch.get_rng_state()
            keep(at)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)  # gives the model its own forward back
    accelerator.free_memory()
    return at.history


def _finish_pass(model: nn.Module, task: Task, settings: Training, at: Progress, steps: int) -> bool:
    """Evaluate on the validation split; whether to stop early."""
    found = task.evaluate(model, task.data.validation)
    row = {"step": at.step, "rate": settings.rate(at.step - 1, steps), "train_loss": sum(at.losses) / len(at.losses)}
    at.losses = []
    at.history.append({**row, **{f"validation_{k}": v for k, v in found.items()}})
    at.waited = 0 if found["loss"] < at.best else at.waited + 1
    at.best = min(at.best, found["loss"])
    return settings.patience is not None and at.waited >= settings.patience


def _accelerator(accelerate: Any, settings: Training) -> Any:
    state = accelerate.state.AcceleratorState
    if state._shared_state and state().mixed_precision != settings.mixed_precision:
        state._reset_state(True)  # Accelerate keeps one precision a process; two trainings may differ
    return accelerate.Accelerator(mixed_precision=settings.mixed_precision)


def _training_batches(
    task: Task, settings: Training, seed: int, first: int, steps: int, accelerator: Any
) -> Iterator[tuple[Tensor, Tensor]]:
    """This rank's share of every batch from a step on; the order of a pass depends on the seed and the pass alone."""
    train, size = task.data.train, settings.batch_size
    per_epoch = math.ceil(len(train) / size)
    order, known = torch.empty(0, dtype=torch.long), -1
    for step in range(first, steps):
        epoch, place = divmod(step, per_epoch)
        if epoch != known:
            order = torch.randperm(len(train), generator=torch.Generator().manual_seed(mix_seeds(seed, 2, epoch)))
            known = epoch
        inputs, targets = train[order[place * size : (place + 1) * size][accelerator.process_index :: accelerator.num_processes]]
        if settings.augment and task.data.augment is not None:
            inputs = task.data.augment(inputs, torch.Generator().manual_seed(mix_seeds(seed, 3, step, accelerator.process_index)))
        yield task.data.prepare(inputs).to(accelerator.device), targets.to(accelerator.device).long()


def mix_seeds(*numbers: int) -> int:
    """One seed from several numbers, far from the seed of near numbers."""
    mixed = 0x9E3779B97F4A7C15
    for n in numbers:
        mixed = (mixed ^ (n + 0x9E3779B97F4A7C15 + (mixed << 6) + (mixed >> 2))) & 0x7FFFFFFFFFFFFFFF
        mixed = (mixed * 0xBF58476D1CE4E5B9) & 0x7FFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return mixed
