from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from secateur import ModelError, Pruner, Recipe, RecipeError, prune_
from secateur.allocation import Global, PerLayer, StdThreshold, Uniform
from secateur.schedule import Cubic, Iterative, OneShot
from secateur.score import Magnitude, Random
from secateur.structure import NM, Filters
from secateur.testing import small_model


def two_layers():
    """fc1 holds 1…8, fc2 holds 10, 20, …, 80."""
    model = nn.Sequential()
    for name, step in (("fc1", 1.0), ("fc2", 10.0)):
        layer = nn.Linear(4, 2, bias=False)
        layer.weight.data = torch.arange(1.0, 9.0).view(2, 4) * step
        model.add_module(name, layer)
    return model


def kept(allocation, sparsity, model=None):
    recipe = Recipe(allocation=allocation, prune_classifier=True, schedule=OneShot(sparsity=sparsity))
    pruner = prune_(two_layers() if model is None else model, recipe)
    return {n.split(".")[0]: m.flatten().int().tolist() for n, m in pruner.masks.items()}


def test_uniform():
    # 8 − round(0.25·8) = 6 stay in each
    assert kept(Uniform(), 0.25) == {"fc1": [0, 0, 1, 1, 1, 1, 1, 1], "fc2": [0, 0, 1, 1, 1, 1, 1, 1]}


def test_global():
    # round(0.25·16) = 4 go: 1 2 3 4
    assert kept(Global(), 0.25) == {"fc1": [0, 0, 0, 0, 1, 1, 1, 1], "fc2": [1] * 8}


def test_global_breaks_ties_by_index():
    model = two_layers()
    for layer in model:
        layer.weight.data.fill_(1.0)
    assert kept(Global(), 0.25, model) == {"fc1": [1] * 8, "fc2": [1, 1, 1, 1, 0, 0, 0, 0]}


def test_global_over_filters_of_unequal_size():
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    model[0].weight.data = torch.tensor([[1.0], [4], [5]]).expand(3, 4).clone()
    model[1].weight.data = torch.tensor([[2.0], [6]]).expand(2, 3).clone()
    # costs 4 4 4 3 3, Σ = 18; worst first 1 (4), 2 (3), 4 (4), …: removed 0 4 7 11 …; 0.4·18 = 7.2, nearest is 7
    pruner = prune_(model, Recipe(structure=Filters(), prune_classifier=True, schedule=OneShot(sparsity=0.4)))
    assert [m.any(1).tolist() for m in pruner.masks.values()] == [[False, True, True], [False, True]]
    assert pruner.sparsity == 7 / 18


def test_per_layer():
    # the first pattern that matches counts; fc1: round(0.5·8) = 4 go, fc2: round(0.25·8) = 2
    allocation = PerLayer(sparsity={"fc1*": 0.5, "fc*": 0.25})
    assert kept(allocation, 0.9) == {"fc1": [0] * 4 + [1] * 4, "fc2": [0] * 2 + [1] * 6}
    assert kept(PerLayer(sparsity={"fc2*": 0.5}), 0.9) == {"fc1": [1] * 8, "fc2": [0] * 4 + [1] * 4}


def test_per_layer_arrives_in_equal_rates():
    # half of the way in log density: d_l = D_l^½, so 0.75 of removal passes through 1 − √0.25 = 0.5
    model = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    recipe = Recipe(allocation=PerLayer(sparsity={"0.*": 0.75}, other=0.36), schedule=Iterative(rounds=2, rate=0.5),
                    prune_classifier=True)  # fmt: skip
    pruner = Pruner(model, recipe)
    found = [[int((~m).sum()) / 4096 for m in pruner.masks.values()] for _ in pruner.rounds()]
    assert found[1] == pytest.approx([0.5, 0.2], abs=1e-3)
    assert found[2] == pytest.approx([0.75, 0.36], abs=1e-3)


def test_std_threshold_by_hand():
    # fc1: std of 1…8 (over n) = √5.25 = 2.2913; q = 2 → 4.58: 5 6 7 8 stay. fc2: its own q = 3 → 68.7: 70 80 stay
    assert math.sqrt(5.25) == pytest.approx(float(torch.arange(1.0, 9).std(correction=0)))
    allocation = StdThreshold(quality=2.0, layers={"fc2*": 3.0})
    assert kept(allocation, 0.5) == {"fc1": [0] * 4 + [1] * 4, "fc2": [0] * 6 + [1] * 2}


def test_std_threshold_solves_for_the_quality():
    # |w|/std is the same list in both layers: round(0.5·16) = 8 go, four from each
    assert kept(StdThreshold(), 0.5) == {"fc1": [0] * 4 + [1] * 4, "fc2": [0] * 4 + [1] * 4}


def test_std_is_of_the_survivors_or_of_all():
    # survivors 5 6 7 8: std √1.25 = 1.118, q = 5.5 → 6.15; zeros included: std of 0 0 0 0 5 6 7 8 = 3.34, q = 5.5 → 18.4
    masks = []
    for of in ("survivors", "all"):
        pruner = Pruner(two_layers()[:1], Recipe(allocation=StdThreshold(quality=5.5, of=of)))
        pruner.masks["0.weight" if "0.weight" in pruner.targets else "fc1.weight"] = torch.tensor([[False] * 4, [True] * 4])
        pruner.apply()
        if of == "survivors":
            pruner.prune()
        else:
            with pytest.warns(UserWarning, match="pruning emptied the layer"):
                pruner.prune()
        masks.append(next(iter(pruner.masks.values())).flatten().int().tolist())
    assert masks == [[0] * 6 + [1] * 2, [0] * 8]


def test_a_pattern_that_names_no_layer():
    with pytest.raises(ModelError) as e:
        Pruner(two_layers(), Recipe(allocation=PerLayer(sparsity={"conv*": 0.5}), prune_classifier=True))
    assert str(e.value) == "allocation 'per_layer': 'conv*' matches none of the layers: fc1.weight, fc2.weight"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"allocation": StdThreshold(), "structure": Filters()},
            "allocation 'std_threshold' does not go with structure 'filters': it compares single weights with a threshold; "
            "structure that fits: weights",
        ),
        (
            {"allocation": StdThreshold(), "score": Random()},
            "allocation 'std_threshold' does not go with score 'random': its threshold is in units of |w|; "
            "score that fits: magnitude",
        ),
        (
            {"allocation": StdThreshold(quality=1.0), "schedule": Cubic()},
            "allocation 'std_threshold' does not go with schedule 'cubic': its quality fixes the threshold, so there is no "
            "sparsity to ramp up; schedule that fits: iterative, one_shot",
        ),
    ],
    ids=["structure", "score", "schedule"],
)
def test_a_threshold_refuses_what_it_cannot_compare(parts, sentence):
    with pytest.raises(RecipeError) as e:
        Recipe(**parts)
    assert str(e.value).startswith(sentence)


def test_per_layer_within_reach_of_the_structure():
    with pytest.raises(RecipeError, match=r"asks a layer for sparsity 0\.9, and this structure removes at most 0\.5"):
        Recipe(structure=NM(), allocation=PerLayer(sparsity={"conv*": 0.9}))
    Recipe(structure=NM(), allocation=PerLayer(other=0.5), schedule=OneShot(sparsity=0.9))


def test_magnitudes_of_another_power_are_no_threshold():
    with pytest.raises(RecipeError, match="units of"):
        Recipe(allocation=StdThreshold(), score=Magnitude(p=2))


def test_a_layer_pruned_empty_is_told():
    with pytest.warns(UserWarning, match=r"pruning emptied the layer '0\.weight': nothing passes through it any more"):
        prune_(small_model(), Recipe(allocation=PerLayer(sparsity={"0.*": 1.0})))
