"""Distances between filters: what the formula says, by another way of computing it, and what it is for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe, RecipeError
from secateur.core.statistics import Statistics
from secateur.methods import fpgm, li_2016
from secateur.score import GeometricMedian
from secateur.structure import Filters, Weights


def by_hand(weight):
    rows = [f.double() for f in weight.flatten(1)]
    return torch.stack([sum((f - other).square().sum().sqrt() for other in rows) for f in rows])


@given(filters=st.integers(1, 9), inputs=st.integers(1, 5), kernel=st.sampled_from([(), (1, 1), (3, 3)]), seed=st.integers(0, 99))
def test_a_filters_weights_add_up_to_its_distance_from_the_others(filters, inputs, kernel, seed):
    weight = torch.randn(filters, inputs, *kernel, generator=torch.Generator().manual_seed(seed))
    score = GeometricMedian()(weight, Statistics(name="w"))
    assert score.shape == weight.shape
    torch.testing.assert_close(score.flatten(1).sum(1).double(), by_hand(weight), rtol=1e-4, atol=1e-6)
    assert bool((score.flatten(1) == score.flatten(1)[:, :1]).all()), "each weight has an equal part"


def test_a_vector_is_a_layer_of_one_weight_a_unit():
    """A norm's scale is scored so: 0, 1, 3 are 4, 3, 5 away from each other, and what is zero counts as gone."""
    assert GeometricMedian()(torch.tensor([1.0, 3.0, 7.0]), Statistics(name="w")).tolist() == [8, 6, 10]
    assert GeometricMedian()(torch.tensor([1.0, 0.0, 3.0, 7.0]), Statistics(name="w")).tolist() == [8, 11, 6, 10]
    assert GeometricMedian()(torch.zeros(3, 2), Statistics(name="w")).tolist() == [[0, 0]] * 3


def test_pruned_filters_do_not_draw_the_median_towards_zero():
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) + 3
    padded = torch.cat([weight, torch.zeros(5, 4)])
    found = GeometricMedian()(padded, Statistics(name="w"))[:6]
    torch.testing.assert_close(found, GeometricMedian()(weight, Statistics(name="w")))


def test_equal_filters_have_exactly_equal_scores():
    weight = torch.randn(64, 100, generator=torch.Generator().manual_seed(1))
    weight[40] = weight[3]
    score = GeometricMedian()(weight, Statistics(name="w"))
    assert torch.equal(score[40], score[3])


def net():
    """Eight filters: 0, 1 and 2 are nearly one another, and by far the largest."""
    g = torch.Generator().manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 2))
    with torch.no_grad():
        weight = torch.nn.functional.normalize(torch.randn(8, 27, generator=g))
        weight[:3] = 1.5 * weight[0] + 0.01 * torch.randn(3, 27, generator=g)
        model[0].weight.copy_(weight.view(8, 3, 3, 3))
    return model


@pytest.mark.parametrize("example_inputs", [None, torch.zeros(2, 3, 4, 4)], ids=["alone", "coupled"])
def test_filters_that_others_can_stand_in_for_go_first_even_if_they_are_the_largest(example_inputs):
    """The L1 norm does the opposite: it would keep all three."""

    def gone(recipe):
        pruner = Pruner(net(), recipe, example_inputs=example_inputs).prune()
        return set((~pruner.masks["0.weight"].flatten(1).any(1)).nonzero().flatten().tolist())

    assert len(gone(fpgm(sparsity=0.25))) == 2
    assert gone(fpgm(sparsity=0.25)) < {0, 1, 2}
    assert not gone(li_2016(sparsity=0.25)) & {0, 1, 2}


def test_it_is_for_whole_filters():
    with pytest.raises(RecipeError) as e:
        Recipe(structure=Weights(), score=GeometricMedian())
    assert str(e.value) == (
        "score 'geometric_median' does not go with structure 'weights': it tells filters apart, and this structure does not "
        "remove whole ones; structure that fits: filters, neurons"
    )
    Recipe(structure=Filters(), score=GeometricMedian())
