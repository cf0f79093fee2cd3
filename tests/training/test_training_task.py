from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from secateur.core.errors import DataError, ModelError
from secateur.training import Task
from secateur.training.data import Data, Split, load_data
from secateur.training.data.text import from_text


def data(targets, classes, n=6):
    x = torch.arange(n * 2, dtype=torch.float32).view(n, 2)
    split = Split(x, targets)
    return Data(name="mine", train=split, validation=split, test=split, classes=classes, shape=(2,))


@pytest.mark.parametrize(("targets", "classes"), [(torch.rand(6), None), (torch.rand(6), 3), (torch.arange(6), None)])
def test_regression_is_refused(targets, classes):
    with pytest.raises(DataError, match="'mine' has no classes: the ready-made training does classification and language"):
        Task(data(targets, classes))


def test_an_empty_split_is_refused():
    full = data(torch.arange(6), 6)
    empty = Split(full.train.inputs[:0], full.train.targets[:0])
    with pytest.raises(DataError, match="'mine' has an empty validation split"):
        Task(Data(name="mine", train=full.train, validation=empty, test=full.test, classes=6, shape=(2,)))


def test_figures_by_hand():
    """Class k has probability (12 − k)/78: loss and accuracies can be counted on one's fingers."""

    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.arange(12.0, 0.0, -1.0).log())

        def forward(self, x):
            return self.w.expand(len(x), -1)

    task, model = Task(data(torch.tensor([0, 0, 1, 2, 11, 0]), 12)), Fixed()
    found = task.evaluate(model, task.data.test, size=4)
    assert found["top1"] == 0.5
    assert found["top5"] == 5 / 6
    assert found["loss"] == pytest.approx(math.log(78) - (3 * math.log(12) + math.log(11) + math.log(10)) / 6, rel=1e-6)
    assert model.training
    assert task.loss(model, next(task.batches(task.data.test, 6))).item() == pytest.approx(found["loss"], rel=1e-6)


def test_top5_from_ten_classes_up():
    model = nn.Linear(2, 9)
    assert set(Task(data(torch.arange(6), 9)).evaluate(model, data(torch.arange(6), 9).test)) == {"loss", "top1"}


def test_language():
    task = Task(from_text("to be or not to be, " * 40, name="be", block_size=8))
    assert task.kind == "language"
    model = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 8))
    untrained = task.evaluate(model, task.data.test)
    assert set(untrained) == {"loss", "top1"}
    assert 0 < task.loss(model, next(task.batches(task.data.train, 4))).item() < 5


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda: nn.Linear(64, 9), r"\[2, 9\]"),
        (lambda: nn.Flatten(0), r"\[128\]"),
        (lambda: nn.Unflatten(1, (8, 8)), r"\[2, 8, 8\]"),
        (lambda: nn.LSTM(64, 10), r"<class 'tuple'>"),
    ],
)
def test_answers_of_another_shape_are_named(make, got):
    task = Task(load_data("digits"))
    inputs, targets = next(task.batches(task.data.test, 2))
    with pytest.raises(ModelError, match=rf"a batch of 'digits' with a tensor of logits of shape \[2, 10\]; got {got}"):
        task.loss(make(), (inputs.flatten(1), targets))


def test_batches():
    task = Task(load_data("digits"))
    sizes = [len(y) for _, y in task.batches(task.data.test, 100)]
    assert sizes == [100, 100, 100, 60]
    assert [len(y) for _, y in task.batches(task.data.test, 100, limit=150)] == [100, 50]
