"""The one value every data set loads into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import DataError

__all__ = ["Data", "Normalise", "Split", "hold_out", "tokens"]


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and their answers, as raw as they came; also a map-style data set for ``torch.utils.data.DataLoader``.

    Args:
        inputs: ``[n, *shape]``, usually uint8.
        targets: ``[n]`` class numbers, or ``[n, length]`` next characters, or anything of length n.

    Raises:
        DataError: the two differ in length.

    Example:
        >>> split = Split(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0]))
        >>> len(split), split[torch.tensor([0, 2])][1].tolist()
        (3, [0, 0])
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise DataError(f"a split needs one target per input; got {len(self.inputs)} inputs, {len(self.targets)} targets")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]


@dataclass(frozen=True)
class Normalise:
    r"""Raw pixels to standard scores, channel by channel.

    .. math:: y_c = (x_c / \text{scale} - \text{mean}_c) / \text{std}_c

    Args:
        mean: one number per channel.
        std: one number per channel.
        scale: the greatest raw value.

    Example:
        >>> Normalise((0.5,), (0.25,))(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).flatten().tolist()
        [-2.0, 2.0]
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 255.0

    def __call__(self, inputs: Tensor) -> Tensor:
        x = inputs.to(torch.float32)
        mean, std = (x.new_tensor(v).view(-1, 1, 1) for v in (self.mean, self.std))
        return (x / self.scale - mean) / std


def tokens(inputs: Tensor) -> Tensor:
    """Stored character numbers as an embedding wants them: int64."""
    return inputs.to(torch.int64)


def as_float(inputs: Tensor) -> Tensor:
    """Inputs as float32, unchanged in value."""
    return inputs.to(torch.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """A data set in memory. The validation split comes out of the training set, never out of the test set.

    Args:
        name: what the reports call it.
        train: examples to learn from.
        validation: examples for early stopping and for choosing.
        test: examples for the reported figure, and nothing else.
        classes: how many values a target takes (for text: the vocabulary); None when targets are not classes.
        shape: shape of one input.
        prepare: a raw batch ``[b, *shape]`` to what the model takes.
        augment: a raw training batch and a generator to a varied raw batch, used before ``prepare``; or None.
        vocabulary: for text, the character of every number; None for anything else.

    Raises:
        DataError: a split's inputs are not of the given shape.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int | None
    shape: tuple[int, ...]
    prepare: Callable[[Tensor], Tensor] = as_float
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    vocabulary: str | None = None

    def __post_init__(self) -> None:
        for part in ("train", "validation", "test"):
            got = tuple(getattr(self, part).inputs.shape[1:])
            if got != self.shape:
                raise DataError(f"data set {self.name!r}: inputs of the {part} split must have shape {self.shape}; got {got}")


def hold_out(inputs: Tensor, targets: Tensor, count: int) -> tuple[Split, Split]:
    """Part a training set in (train, validation) by a permutation that never changes.

    Args:
        inputs: ``[n, ...]``.
        targets: ``[n, ...]``.
        count: examples that go to validation.
    """
    # NumPy promises RandomState's stream for ever; torch.randperm makes no such promise between versions.
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(inputs)))
    train, validation = (part.sort().values for part in (order[: len(inputs) - count], order[len(inputs) - count :]))
    return Split(inputs[train], targets[train]), Split(inputs[validation], targets[validation])
