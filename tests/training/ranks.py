"""What each of two processes does: train the same network together, and write down what it ended with."""

from __future__ import annotations

import dataclasses as dc
import sys
from pathlib import Path

import torch
from torch import nn

from secateur import Pruner, Recipe
from secateur.allocation import Global
from secateur.schedule import OneShot
from secateur.score import HardConcrete, Snip
from secateur.training import Task, Training, fit
from secateur.training.data import Data, Split


def data() -> Data:
    """101 points of the plane and ten more directions; the class is the quadrant."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(201, 12, generator=generator)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    parts = Split(x[:101], y[:101]), Split(x[101:151], y[101:151]), Split(x[151:], y[151:])
    return Data(name="quadrants", train=parts[0], validation=parts[1], test=parts[2], classes=4, shape=(12,))


def network(norm: bool) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(12, 16), nn.GroupNorm(1, 16) if not norm else nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 4))


def train(size: int, norm: bool, epochs: float = 6, learned: bool = False) -> dict[str, object]:
    task, model = Task(data()), network(norm)
    recipe = Recipe(score=Snip(), allocation=Global(), schedule=OneShot(sparsity=0.5, at_training_step=4))
    if learned:
        recipe = dc.replace(recipe, score=HardConcrete(examples=101, learning_rate=0.1))
    pruner = Pruner(model, recipe, data=list(task.batches(task.data.validation, 25)))
    settings = Training(epochs=epochs, batch_size=size, learning_rate=0.05, patience=3)
    history = fit(model, task, settings, pruner=pruner, seed=1)
    return {"model": model.state_dict(), "masks": pruner.masks, "history": history}


def main() -> None:
    from accelerate import PartialState

    folder, size, norm = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "batch"
    rank = PartialState(cpu=True).process_index
    torch.save(train(size, norm, learned=sys.argv[3] == "learned"), folder / f"rank{rank}.pt")
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
