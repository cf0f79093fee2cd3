"""Somebody's own models and data, named by import path in the tests."""

from __future__ import annotations

import os
import signal
import sys

import torch
from torch import Tensor, nn

from secateur.training.data import Data, Split


class Plain(nn.Module):
    """A small network of the user's own."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(64, width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x.flatten(1)).relu())


class Raises(Plain):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("this model always fails")


class Exits(Plain):
    def forward(self, x: Tensor) -> Tensor:
        sys.exit(3)


class Dies(Plain):
    def forward(self, x: Tensor) -> Tensor:
        os._exit(1)


class Killed(Plain):
    def forward(self, x: Tensor) -> Tensor:
        os.kill(os.getpid(), signal.SIGKILL)
        return x


class Shapeless(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten()


class Diverges(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("inf")


def points(n: int = 60) -> Data:
    """Two classes on either side of a plane, 64 features each."""
    x = torch.randn(3 * n, 64, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    parts = [Split(x[i * n : (i + 1) * n], y[i * n : (i + 1) * n]) for i in range(3)]
    return Data(name="points", train=parts[0], validation=parts[1], test=parts[2], classes=2, shape=(64,))
