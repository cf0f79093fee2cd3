"""Whole-model targets: d_P = (T/c − (T − P)) / P, and a refusal outside (0, 1]."""

from __future__ import annotations

import dataclasses as dc

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from secateur import Compression, ModelError, Pruner, Recipe, RecipeError, Sparsity, prune_
from secateur.allocation import PerLayer, StdThreshold
from secateur.schedule import Cubic, Iterative
from secateur.score import Random
from secateur.structure import NM, Filters
from secateur.testing import small_model


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def nonzero(model):
    return sum(int((p != 0).sum()) for p in model.parameters())


def net():
    """Nothing is zero before: what is zero afterwards was pruned."""
    model = small_model()
    with torch.no_grad():
        for p in model.parameters():
            p.add_((p == 0).float())
    return model


@given(st.integers(1, 10**7), st.integers(0, 10**6), st.floats(1, 1e4))
def test_the_formula(prunable, dense, ratio):
    total = prunable + dense
    density = (total / ratio - dense) / prunable
    if density <= 0:
        with pytest.raises(ModelError, match="cannot be reached"):
            Compression(ratio).sparsity(total, prunable)
        return
    sparsity = Compression(ratio).sparsity(total, prunable)
    assert 0 <= sparsity < 1
    left = dense + prunable * (1 - sparsity)
    assert total / left == pytest.approx(ratio, rel=1e-6)


@pytest.mark.parametrize("ratio", [1, 1.5, 2, 4, 8])
@pytest.mark.parametrize("schedule", [None, Iterative(rounds=3)])
def test_a_model_ends_at_the_ratio(ratio, schedule):
    model = net()
    total = parameters(model)
    recipe = Recipe(score=Random())  # which empties no layer
    prune_(model, recipe if schedule is None else dc.replace(recipe, schedule=schedule), target=Compression(ratio))
    assert abs(nonzero(model) - total / ratio) <= 0.5


def test_two_hand_computed_ratios():
    """LeNet-300-100: T = 266 610; without its classifier P = 784·300 + 300·100 = 265 200."""
    assert Compression(12).sparsity(266_610, 265_200) == pytest.approx(1 - (266_610 / 12 - 1_410) / 265_200, abs=1e-15)
    assert Compression(2).sparsity(100, 100) == 0.5


def test_filters_count_their_bias_and_batch_norm():
    model = net()
    total = parameters(model)
    prune_(model, Recipe(structure=Filters()), target=Compression(1.6))
    assert abs(nonzero(model) - total / 1.6) <= (8 * 9 + 2) / 2  # half of the largest unit: filters of 8·9 weights and their norm


def test_it_moves_a_ramp():
    pruner = Pruner(net(), Recipe(schedule=Cubic(sparsity=0.3)), target=Sparsity(0.8))
    assert pruner.recipe.schedule == Cubic(sparsity=0.8)


def test_the_impossible_is_refused_with_the_most_that_can_be_had():
    total, prunable = 1_836, 1_696
    assert parameters(small_model()) == total
    with pytest.raises(ModelError) as e:
        Pruner(small_model(), Recipe(), target=Compression(50))
    assert str(e.value) == (
        "compression 50× cannot be reached: 140 of 1,836 parameters stay dense, so at most 13.11× can; "
        "ask for less, or prune more layers (prune_classifier=True, include=...)"
    )
    assert round(total / (total - prunable), 2) == 13.11
    with pytest.raises(RecipeError, match=r"structure 'nm' can remove at most 0\.5 of a layer"):
        Pruner(small_model(), Recipe(structure=NM()), target=Compression(4))


@pytest.mark.parametrize("allocation", [PerLayer(other=0.5), StdThreshold(quality=1.0)], ids=repr)
def test_an_allocation_that_sets_its_own_sparsities_takes_no_target(allocation):
    with pytest.raises(RecipeError, match="sets each layer's sparsity itself"):
        Pruner(small_model(), Recipe(allocation=allocation), target=Sparsity(0.5))


@pytest.mark.parametrize("goal", [lambda: Sparsity(1.0), lambda: Sparsity(-0.1), lambda: Compression(0.5)])
def test_a_goal_out_of_range_is_refused(goal):
    with pytest.raises(RecipeError, match=r"must be ≥"):
        goal()


@given(st.floats(0, 0.99))
def test_pruning_twice_to_the_same_sparsity_changes_nothing(sparsity):
    model = nn.Linear(17, 13)
    pruner = Pruner(model, Recipe())
    assume(round(sparsity * 221) < 221)
    first = pruner.prune(sparsity).masks["weight"].clone()
    assert torch.equal(first, pruner.prune(sparsity).masks["weight"])
