"""What is asked of a network on a data set: the loss to train on and the figures to report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import DataError, ModelError
from .data import Data, Split

__all__ = ["Task"]


@dataclass(frozen=True)
class Task:
    """Classification of whole inputs, or of the next character at every place (language modelling).

    Args:
        data: the data set; its targets are class numbers ``[n]`` or ``[n, length]``.

    Raises:
        DataError: the targets are not classes, or a split is empty.

    Example:
        >>> from secateur.training.data import load_data
        >>> Task(load_data("digits")).kind
        'classification'
    """

    data: Data

    def __post_init__(self) -> None:
        targets = self.data.train.targets
        if self.data.classes is None or targets.is_floating_point():
            raise DataError(
                f"data set {self.data.name!r} has no classes: the ready-made training does classification and language modelling"
            )
        for part in ("train", "validation", "test"):
            if not len(getattr(self.data, part)):
                raise DataError(f"data set {self.data.name!r} has an empty {part} split; give it at least one example")

    @property
    def kind(self) -> str:
        """``"classification"`` or ``"language"``."""
        return "language" if self.data.train.targets.ndim > 1 else "classification"

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Mean cross-entropy in nats of a prepared batch (inputs, targets).

        Raises:
            ModelError: the model does not answer with one score a class.
        """
        return nn.functional.cross_entropy(self._logits(model, *batch), batch[1].flatten())

    def _logits(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Scores ``[answers, classes]``."""
        logits: Any = model(inputs)
        fits = isinstance(logits, Tensor) and logits.shape[:-1] == targets.shape and logits.shape[-1] >= (self.data.classes or 0)
        if not fits:
            wanted, got = [*targets.shape, self.data.classes], list(logits.shape) if isinstance(logits, Tensor) else type(logits)
            raise ModelError(
                f"the model must answer a batch of {self.data.name!r} with a tensor of logits of shape {wanted}; got {got}"
            )
        flat: Tensor = logits.flatten(0, -2)
        return flat

    def batches(
        self, split: Split, size: int, device: torch.device | str = "cpu", limit: int | None = None
    ) -> Iterator[list[Tensor]]:
        """Prepared batches in order, without augmentation.

        Args:
            split: which examples.
            size: examples a batch.
            device: where to put them.
            limit: at most so many examples.
        """
        count = len(split) if limit is None else min(limit, len(split))
        for start in range(0, count, size):
            inputs, targets = split[slice(start, min(start + size, count))]
            yield [self.data.prepare(inputs).to(device), targets.to(device).long()]

    def example_inputs(self) -> Tensor:
        """A batch of two inputs as a model gets them, to trace it with."""
        inputs: Tensor = next(self.batches(self.data.train, 2, limit=2))[0]
        return inputs

    @torch.no_grad()
    def evaluate(self, model: nn.Module, split: Split, *, size: int = 500) -> dict[str, float]:
        """Figures over a whole split, in evaluation mode: ``loss`` (nats), ``top1``, and ``top5`` from 10 classes up.

        Args:
            model: the network.
            split: which examples.
            size: examples a batch.
        """
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        loss = top1 = top5 = seen = 0.0
        for inputs, targets in self.batches(split, size, device):
            logits, answers = self._logits(model, inputs, targets).float(), targets.flatten()
            loss += float(nn.functional.cross_entropy(logits, answers, reduction="sum"))
            best = logits.topk(min(5, logits.shape[-1]), dim=-1).indices == answers.unsqueeze(-1)
            top1 += int(best[:, 0].sum())
            top5 += int(best.any(-1).sum())
            seen += answers.numel()
        model.train(training)
        figures = {"loss": loss / seen, "top1": top1 / seen}
        return {**figures, "top5": top5 / seen} if (self.data.classes or 0) >= 10 else figures
