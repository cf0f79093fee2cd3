"""CIFAR-10 at full size for networks that are trained already: fewer pictures to tune on and to test on."""

from __future__ import annotations

import dataclasses as dc
from pathlib import Path

from secateur.training.data import Data, Split, load_data


def load(folder: str | Path | None = None, train: int = 10_000, validation: int = 2_000, test: int = 2_000) -> Data:
    """The first pictures of CIFAR-10's own splits."""
    whole = load_data("cifar10", folder)

    def first(split: Split, count: int) -> Split:
        return Split(*split[slice(0, count)])

    return dc.replace(
        whole,
        name="some_cifar",
        train=first(whole.train, train),
        validation=first(whole.validation, validation),
        test=first(whole.test, test),
    )
