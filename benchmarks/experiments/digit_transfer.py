"""Half of MNIST's digits, for learning on one half and then, from few pictures, on the other."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Sequence
from pathlib import Path

import torch

from secateur.training.data import Data, load_data
from secateur.training.data._data import Split


def load(folder: str | Path | None = None, digits: Sequence[int] = (0, 1, 2, 3, 4), train: int | None = None) -> Data:
    """The pictures of some digits out of each of MNIST's splits, numbered from 0; at most so many to train on."""
    whole = load_data("mnist", folder)

    def some(split: Split, count: int | None = None) -> Split:
        place = torch.full((10,), -1)
        place[list(digits)] = torch.arange(len(digits))
        mine = (place[split.targets] >= 0).nonzero().flatten()[:count]
        return Split(split.inputs[mine], place[split.targets[mine]])

    splits = {"train": some(whole.train, train), "validation": some(whole.validation), "test": some(whole.test)}
    return dc.replace(whole, name="digit_transfer", classes=len(digits), **splits)
