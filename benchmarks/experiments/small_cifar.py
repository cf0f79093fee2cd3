"""CIFAR-10 for a machine without a GPU: pictures of half the size, and fewer of them."""

from __future__ import annotations

import dataclasses as dc
import functools
from pathlib import Path
from typing import Any

import torch

from secateur.lab import Experiment
from secateur.training import Training
from secateur.training.data import Data, load_data
from secateur.training.data._data import Split
from secateur.training.data.cifar10 import crop_and_flip

NETWORK: dict[str, Any] = {
    "task": "small_cifar:load", "model": "digits_cnn", "model_arguments": {"in_channels": 3, "image_size": 16},
}  # fmt: skip
START = Experiment(**NETWORK, training=Training(epochs=20, batch_size=64, learning_rate=0.05, weight_decay=1e-4))


def load(folder: str | Path | None = None, train: int = 10_000, validation: int = 2_000) -> Data:
    """The first pictures of CIFAR-10's own splits, each 2 × 2 pixels their mean; all test pictures."""
    whole = load_data("cifar10", folder)

    def half(split: Split, count: int | None) -> Split:
        inputs = torch.nn.functional.avg_pool2d(split.inputs[:count].float(), 2).round().to(torch.uint8)
        return Split(inputs, split.targets[:count])

    return dc.replace(
        whole,
        name="small_cifar",
        train=half(whole.train, train),
        validation=half(whole.validation, validation),
        test=half(whole.test, None),
        shape=(3, 16, 16),
        augment=functools.partial(crop_and_flip, padding=2),
    )
