"""What a score adds to the loss while training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from secateur import Pruner, Recipe
from secateur.methods import make
from secateur.schedule import OneShot
from secateur.score import Magnitude
from secateur.structure import Filters, Weights


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 2))


X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_lambda_times_the_norm_of_what_is_scored_and_its_gradient() -> None:
    model = net()
    recipe = Recipe(structure=Filters(members="scales"), score=Magnitude(penalty=0.01), schedule=OneShot(at_training_step=5))
    with torch.no_grad():
        model[1].weight[:2] = torch.tensor([-2.0, 3.0])
    pruner = Pruner(model, recipe, example_inputs=X)
    penalty = pruner.penalty()
    assert penalty.item() == pytest.approx(0.01 * model[1].weight.abs().sum().item())
    penalty.backward()
    assert torch.equal(model[1].weight.grad, 0.01 * model[1].weight.sign())
    assert model[0].weight.grad is None


def test_it_ends_when_all_is_pruned() -> None:
    model = net()
    pruner = Pruner(model, Recipe(structure=Weights(), score=Magnitude(penalty=0.1), schedule=OneShot(at_training_step=2)))
    seen = []
    for _ in range(4):
        seen.append(bool(pruner.penalty() > 0))
        pruner.step()
    assert seen == [True, True, False, False]


def test_most_scores_have_none() -> None:
    assert Pruner(net(), Recipe()).penalty() == 0


def test_slimming_makes_scales_small_that_others_leave_large() -> None:
    """Trained with the penalty, more channels are near zero than without it."""
    torch.manual_seed(1)
    inputs, labels = torch.randn(256, 3, 8, 8), torch.randint(0, 2, (256,))
    small = {}
    for penalty in (0.0, 0.05):
        model = copy.deepcopy(net())
        recipe = make("network_slimming", penalty=penalty, steps=120)
        pruner = Pruner(model, recipe, example_inputs=X)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        for step in range(119):
            rows = slice(32 * (step % 8), 32 * (step % 8) + 32)
            loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows]) + pruner.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            pruner.step()
        small[penalty] = model[1].weight.abs().mean().item()
    assert small[0.05] < 0.5 * small[0.0]
