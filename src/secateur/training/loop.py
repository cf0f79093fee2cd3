"""The ready-made training loop: what you would write yourself, with ``pruner.step()`` after ``optimizer.step()``."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..core.errors import DataError, RecipeError, require
from .settings import Training
from .task import Task

__all__ = ["Keep", "Progress", "Stepped", "fit", "mix_seeds"]


class Stepped(Protocol):
    """What goes along with an optimizer: a pruner, or a sharer."""

    def watch(self, optimizer: torch.optim.Optimizer) -> Any:
        """Know this optimizer, before the first step."""

    def penalty(self) -> Tensor | float:
        """What is added to the loss."""

    def step(self) -> None:
        """After every optimizer step."""


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
        best_step: the step of that loss.
        best_weights: the ``state_dict`` of that step, where ``validate_every`` asks for the early-stop criterion.
    """

    step: int = 0
    optimizer: dict[str, Any] | None = None
    rng: Tensor | None = None
    losses: list[float] = dc.field(default_factory=list)
    history: list[dict[str, float]] = dc.field(default_factory=list)
    best: float = math.inf
    waited: int = 0
    best_step: int = 0
    best_weights: dict[str, Tensor] | None = None


Keep = Callable[[int, Callable[[], Progress]], None]
"""What is called after every step: the steps done, and a function that tells what resuming there needs."""


def fit(
    model: nn.Module,
    task: Task,
    settings: Training,
    *,
    pruner: Stepped | None = None,
    seed: int = 0,
    start: int = 0,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> list[dict[str, float]]:
    """Train a model, on whatever devices Hugging Face Accelerate finds.

    The data order of a pass and the learning rate of a step are functions of the seed and the step alone, so that a
    training that was interrupted ends, on a CPU, with the same bits as one that was not.

    Args:
        model: trained in place.
        task: data and loss.
        settings: how.
        pruner: a pruner or a sharer, stepped after every optimizer step.
        seed: of the data order, of augmentation and of dropout.
        start: the step to begin at (a rewound training resumes its schedule there).
        progress: where the training is, kept up to date; without its ``rng``, or when None, a new training starts.
        keep: called after every step, see ``Keep``.

    Returns:
        Per evaluation (one a pass, or ``validate_every``): step, learning rate, training loss, and the validation figures.

    Raises:
        DataError: the loss is no longer a number.
        ModelError: the model does not answer with one score a class.
        RecipeError: this machine does not have the mixed precision.
    """
    loop = _Loop(model, task, settings, pruner, seed, progress or Progress(step=start))
    if progress is None or progress.rng is None:
        rank = loop.accelerator.process_index
        torch.manual_seed(mix_seeds(seed, 1, rank) if rank else mix_seeds(seed, 1))  # ranks drop different neurons
    else:
        torch.set_rng_state(progress.rng)
    try:
        loop.run(keep)
    finally:
        loop.close()
    return loop.at.history


class _Loop:
    """One training under way."""

    def __init__(self, model: nn.Module, task: Task, settings: Training, pruner: Stepped | None, seed: int, at: Progress) -> None:
        self.model, self.task, self.settings, self.pruner, self.seed, self.at = model, task, settings, pruner, seed, at
        examples = len(task.data.train)
        self.steps, self.per_epoch = settings.steps(examples), math.ceil(examples / settings.batch_size)
        self.accelerator = _accelerator(settings)
        self.own_forward = vars(model).get("forward")  # mixed precision puts a wrapper there
        self.alone = self.accelerator.num_processes == 1 and self.accelerator.scaler is None
        self.optimizer = settings.make_optimizer(model)
        if self.alone:  # Accelerate's own steps look for its packages on disk, at every call
            self.prepared = self.accelerator.prepare(model)
        else:
            self.prepared, self.optimizer = self.accelerator.prepare(model, self.optimizer)
        if pruner is not None:
            pruner.watch(self.optimizer)
        self.shares = [g["lr"] / settings.learning_rate for g in self.optimizer.param_groups]  # what scores learn has its own
        if at.optimizer is not None:
            self.optimizer.load_state_dict(at.optimizer)

    def run(self, keep: Keep | None) -> None:
        """Every step that is left; ``keep`` after each."""
        self.prepared.train()
        for inputs, targets, share in self.batches():
            self.step(inputs, targets, share)
            due = self.at.step % (self.settings.validate_every or self.per_epoch) == 0 or self.at.step == self.steps
            if due and self.validate():
                break
            if keep is not None:
                keep(self.at.step, self.snapshot)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """This rank's part of every batch from here on, and its weight; a pass's order depends on seed and pass alone.

        Ranks' gradients are averaged with equal weight, so the loss of a part of unequal size is weighted by its size.
        """
        data, size = self.task.data, self.settings.batch_size
        rank, ranks, device = self.accelerator.process_index, self.accelerator.num_processes, self.accelerator.device
        order, known = torch.empty(0, dtype=torch.long), -1
        for step in range(self.at.step, self.steps):
            epoch, place = divmod(step, self.per_epoch)
            if epoch != known:
                generator = torch.Generator().manual_seed(mix_seeds(self.seed, 2, epoch))
                order, known = torch.randperm(len(data.train), generator=generator), epoch
            batch = order[place * size : (place + 1) * size]
            mine = batch[rank::ranks]
            # a rank that gets nothing of a small last batch still takes part, with weight 0
            inputs, targets = data.train[mine if len(mine) else batch[:1]]
            if self.settings.augment and data.augment is not None:
                inputs = data.augment(inputs, torch.Generator().manual_seed(mix_seeds(self.seed, 3, step, rank)))
            yield data.prepare(inputs).to(device), targets.to(device).long(), len(mine) * ranks / len(batch)

    def step(self, inputs: Tensor, targets: Tensor, share: float) -> None:
        """One optimizer step, and the pruner's."""
        for group, share in zip(self.optimizer.param_groups, self.shares, strict=True):
            group["lr"] = share * self.settings.rate(self.at.step, self.steps)
        loss = self.task.loss(self.prepared, (inputs, targets)) * share
        penalty = 0.0 if self.pruner is None else self.pruner.penalty()
        (torch.autograd.backward if self.alone else self.accelerator.backward)(loss + penalty)
        if self.settings.clip is not None:
            self.accelerator.clip_grad_norm_(self.prepared.parameters(), self.settings.clip)
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.step()
        self.optimizer.zero_grad()
        value = float(self._mean(loss.detach()))  # alike on all ranks, so all stop alike
        if not math.isfinite(value):
            raise DataError(f"the loss is {value} at step {self.at.step}: training diverged; lower the learning rate or set clip")
        self.at.losses.append(value)
        self.at.step += 1

    def _mean(self, value: Tensor) -> Tensor:
        """The mean over all ranks."""
        mean: Tensor = value if self.alone else self.accelerator.reduce(value, reduction="mean")
        return mean

    def validate(self) -> bool:
        """Evaluate on the validation split; whether to stop early."""
        at = self.at
        if self.accelerator.num_processes > 1:  # each rank's batch norm saw other examples; the first rank's counts
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, 0)
        found = self.task.evaluate(self.model, self.task.data.validation)
        rate = self.settings.rate(at.step - 1, self.steps)
        row = {"step": at.step, "rate": rate, "train_loss": sum(at.losses) / len(at.losses)}
        at.losses = []
        at.history.append({**row, **{f"validation_{k}": v for k, v in found.items()}})
        at.waited += 1
        if found["loss"] < at.best:
            at.best, at.best_step, at.waited = found["loss"], at.step, 0
            if self.settings.validate_every is not None:
                at.best_weights = {n: v.detach().clone() for n, v in self.model.state_dict().items()}
        return self.settings.patience is not None and at.waited >= self.settings.patience

    def snapshot(self) -> Progress:
        """Where the training is; the optimizer's tensors are its own, so write them before the next step."""
        return dc.replace(self.at, optimizer=self.optimizer.state_dict(), rng=torch.get_rng_state())

    def close(self) -> None:
        """Give the model its own ``forward`` back, after an error too."""
        self.accelerator.unwrap_model(self.prepared, keep_fp32_wrapper=False)
        vars(self.model).pop("forward", None)
        if self.own_forward is not None:
            vars(self.model)["forward"] = self.own_forward


def _accelerator(settings: Training) -> Any:
    accelerate = require("accelerate", "train")
    if settings.mixed_precision == "fp16" and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise RecipeError("training: mixed_precision 'fp16' needs a GPU, and this machine has none; use 'bf16' or 'no'")
    state = accelerate.state.AcceleratorState
    if state._shared_state and state().mixed_precision != settings.mixed_precision:
        state._reset_state(True)  # Accelerate keeps one precision a process; two trainings may differ
    return accelerate.Accelerator(mixed_precision=settings.mixed_precision)


def mix_seeds(*numbers: int) -> int:
    """One seed from several numbers, far from the seed of near numbers."""
    mixed = 0x9E3779B97F4A7C15
    for n in numbers:
        mixed = (mixed ^ (n + 0x9E3779B97F4A7C15 + (mixed << 6) + (mixed >> 2))) & 0x7FFFFFFFFFFFFFFF
        mixed = (mixed * 0xBF58476D1CE4E5B9) & 0x7FFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return mixed
