"""How a network is trained: plain numbers, equal for every method of a comparison."""

from __future__ import annotations

import dataclasses as dc
import math
from typing import Any, get_type_hints

import torch
from torch import nn

from ..core.component import check_bounds, coerce, param
from ..core.errors import RecipeError

__all__ = ["Training"]


@dc.dataclass(frozen=True, kw_only=True)
class Training:
    """Settings of one training.

    Args:
        epochs: passes over the training split; a fraction is part of a pass.
        batch_size: examples a step, over all devices.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        learning_rate: peak rate.
        momentum: of SGD.
        nesterov: Nesterov's form of SGD's momentum.
        weight_decay: L2 penalty (decoupled, for ``adamw``).
        decay: the rate after warm-up: ``constant``, ``cosine`` to 0, ``linear`` to 0, or ``step`` (÷10 at 50 % and 75 %).
        warmup: fraction of the steps in which the rate rises linearly from 0.
        clip: largest gradient norm; None for no limit.
        augment: vary the training inputs, where the data set says how.
        patience: evaluations on the validation split without improvement after which to stop; None never stops early.
        validate_every: optimizer steps between evaluations on the validation split, and the early-stop criterion is then
            followed: the step of least validation loss, with the weights of that step; None evaluates once a pass.
        mixed_precision: ``no``, ``fp16`` or ``bf16``.

    Example:
        >>> settings = Training(epochs=2, batch_size=50, learning_rate=0.1, decay="linear")
        >>> settings.steps(1000), settings.rate(20, 40)
        (40, 0.05)
    """

    epochs: float = param(default=10.0, ge=0)
    batch_size: int = param(default=64, ge=1)
    optimizer: str = param(default="sgd", among=("sgd", "adam", "adamw"))
    learning_rate: float = param(default=0.05, gt=0)
    momentum: float = param(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = param(default=5e-4, ge=0)
    decay: str = param(default="cosine", among=("constant", "cosine", "linear", "step"))
    warmup: float = param(default=0.0, ge=0, lt=1)
    clip: float | None = param(default=None, gt=0)
    augment: bool = True
    patience: int | None = param(default=None, ge=1)
    validate_every: int | None = param(default=None, ge=1)
    mixed_precision: str = param(default="no", among=("no", "fp16", "bf16"))

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in dc.fields(self):
            value = coerce(getattr(self, f.name), hints[f.name], f"training: {f.name}")
            check_bounds(value, f.metadata, f"training: {f.name}")
            object.__setattr__(self, f.name, value)
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise RecipeError("training: nesterov needs optimizer 'sgd' with momentum > 0")

    def steps(self, examples: int) -> int:
        """Optimizer steps in all, for so many training examples (the last, smaller batch of a pass included)."""
        return round(self.epochs * math.ceil(examples / self.batch_size))

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, a pure function: resuming needs no state."""
        rising = self.warmup * steps
        if step < rising:
            return self.learning_rate * min(1.0, (step + 1) / rising)
        done = (step - rising) / max(1.0, steps - rising)
        if self.decay == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
        if self.decay == "linear":
            return self.learning_rate * (1 - done)
        if self.decay == "step":
            return self.learning_rate * (0.01 if done >= 0.75 else 0.1 if done >= 0.5 else 1.0)
        return self.learning_rate

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """A fresh optimizer over the model's parameters."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        if self.optimizer == "sgd":
            return torch.optim.SGD(
                parameters, lr=self.learning_rate, momentum=self.momentum, nesterov=self.nesterov, weight_decay=self.weight_decay
            )
        cls = torch.optim.Adam if self.optimizer == "adam" else torch.optim.AdamW
        # one pass over each tensor instead of twelve: a third off the step of a small network
        return cls(parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """Every field, or (``minimal``) those that differ from their default."""
        return {f.name: v for f in dc.fields(self) if (v := getattr(self, f.name)) != f.default or not minimal}
