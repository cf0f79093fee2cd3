"""ERK, LAMP, and the floor of the global ranking: golden values, exact counts, nesting."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe, RecipeError
from secateur.allocation import ERK, LAMP, Global, Uniform
from secateur.allocation.erk import shared
from secateur.allocation.lamp import relative
from secateur.core.layers import Layer
from secateur.schedule import Iterative, OneShot
from secateur.score import Grasp, Magnitude, Snip
from secateur.structure import NM, Filters
from secateur.testing import small_batches, small_model
from secateur.training.models import LeNet300100


def layer(name, scores, gone=(), safe=(), cost=1, shape=None):
    scores = torch.as_tensor(scores, dtype=torch.float32).clone()
    scores.view(-1)[list(gone)], scores.view(-1)[list(safe)] = -math.inf, math.inf
    weight = torch.zeros(shape or scores.shape)
    return Layer(name=name, weight=weight, mask=None, score=lambda: scores, units=scores.numel(), cost=cost)


# ---------------------------------------------------------------- ERK


def test_erk_on_lenet_300_100():
    """S = .9: fc3 dense, fc1 .0796, fc2 .2302, 26 620 in all."""
    pruner = Pruner(LeNet300100(), Recipe(allocation=ERK(), prune_classifier=True)).prune(0.9)
    left = {n: int(m.sum()) for n, m in pruner.masks.items()}
    assert left == {"fc1.weight": 18_714, "fc2.weight": 6_906, "fc3.weight": 1_000}
    assert sum(left.values()) == 26_620
    assert left["fc1.weight"] / 235_200 == pytest.approx(0.0796, abs=5e-5)
    assert left["fc2.weight"] / 30_000 == pytest.approx(0.2302, abs=5e-5)


def test_erk_counts_the_kernel_and_er_does_not():
    """Sums of the sides 4 + 8 + 6 = 18 and 8 + 16 + 6 = 30, so 144 as 54 : 90; without the kernel's 12 and 24, so 48 : 96."""
    layers = [layer("a", torch.rand(8, 4, 3, 3)), layer("b", torch.rand(16, 8, 3, 3))]
    kept = {k: [int(m.sum()) for m in ERK(kernel=k)(layers, 0.9, 0.9).values()] for k in (True, False)}
    assert kept == {True: [54, 90], False: [48, 96]}


def test_erk_takes_the_true_fan_in_of_a_depthwise_convolution():
    """Depthwise [16, 1, 3, 3]: 23/144; pointwise [16, 16, 1, 1]: 34/256."""
    layers = [layer("depthwise", torch.rand(16, 1, 3, 3)), layer("pointwise", torch.rand(16, 16, 1, 1))]
    assert [int(m.sum()) for m in ERK()(layers, 0.8, 0.8).values()] == [32, 48]  # 80 as 23 : 34 is 32.3 : 47.7


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3)), min_size=1, max_size=5), st.data(),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
)  # fmt: skip
def test_erk_is_exact_within_one_weight_a_layer_and_nests(shapes, data, sparsities):
    values = [torch.rand(a, b, k, k, generator=torch.Generator().manual_seed(7)) for a, b, k in shapes]
    total, before = sum(v.numel() for v in values), None
    for s in sorted(sparsities):
        layers = [layer(str(i), v if before is None else v.masked_fill(~before[i], -math.inf)) for i, v in enumerate(values)]
        keep = list(ERK()(layers, s, 1.0).values())
        left = [int(k.sum()) for k in keep]
        assert sum(left) == total - round(s * total)
        assert before is None or all(not bool((k & ~b).any()) for k, b in zip(keep, before, strict=True))
        open_ = [i for i, v in enumerate(values) if left[i] < v.numel()]
        rates = [left[i] / (sum(values[i].shape)) for i in open_]  # ε, to within one weight
        slack = [1 / sum(values[i].shape) for i in open_]
        if before is None:
            for i, (r, e) in enumerate(zip(rates, slack, strict=True)):
                assert all(abs(r - q) <= e + f + 1e-9 for q, f in zip(rates[:i], slack[:i], strict=True))
            if rates:
                dense = [v for i, v in enumerate(values) if i not in open_]
                assert all(min(r + e for r, e in zip(rates, slack, strict=True)) * sum(v.shape) >= v.numel() - 1 for v in dense)
        before = keep


def test_erk_leaves_what_must_stay_and_brings_nothing_back():
    """Of the first all but two are gone, of the second three must stay: 5 = 2 + 3, whatever the shapes say."""
    layers = [layer("a", torch.rand(2, 5), gone=range(2, 10)), layer("b", torch.rand(4, 5), safe=range(3))]
    keep = ERK()(layers, 25 / 30, 25 / 30)
    assert [int(k.sum()) for k in keep.values()] == [2, 3]
    assert bool(keep["b"].view(-1)[:3].all())
    pruner = Pruner(small_model(), Recipe(structure=NM(n=2, m=4), allocation=ERK())).prune(0.5)
    assert all(int(m.sum()) * 2 == m.numel() for m in pruner.masks.values())


@given(st.lists(st.tuples(st.floats(0.01, 9), st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=6), st.integers(0, 99))
def test_shares_are_whole_in_range_and_exact(takers, total):
    weights, least, most = [w for w, _, _ in takers], [a for _, a, _ in takers], [a + b for _, a, b in takers]
    found = shared(total, weights, least, most)
    assert all(a <= n <= b for a, n, b in zip(least, found, most, strict=True))
    assert sum(found) == min(max(total, sum(least)), sum(most))


def test_erk_of_units_of_unequal_size():
    recipe = Recipe(structure=Filters(), allocation=ERK(), schedule=OneShot(sparsity=0.5))
    pruner = Pruner(small_model(), recipe).prune()
    assert pruner.sparsity == pytest.approx(0.5, abs=0.06)


# ---------------------------------------------------------------- LAMP


def test_lamp_by_hand():
    assert relative(torch.tensor([1.0, 2.0, 3.0])).tolist() == pytest.approx([1 / 14, 4 / 13, 1.0])
    assert relative(torch.tensor([[3.0, 1.0], [2.0, -math.inf]])).tolist() == [
        [1.0, pytest.approx(1 / 14)], [pytest.approx(4 / 13), -math.inf]
    ]  # fmt: skip
    # of equals the first counts as the largest
    assert relative(torch.tensor([2.0, 2.0, 2.0])).tolist() == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert relative(torch.tensor([0.0, 0.0])).tolist() == [0.0, 0.0]
    assert relative(torch.tensor([math.inf, 1.0, 1.0])).tolist() == [math.inf, 1.0, 0.5]


def test_lamp_is_of_magnitudes_and_takes_no_notice_of_a_layers_scale():
    small, large = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[500.0, 600.0], [100.0, 700.0]])
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[0].weight.data, model[1].weight.data = small, large
    # first: 1/30 4/29 9/25 1; second: 25/110 36/85 1/111 1; the three least are 1/111, 1/30, 4/29
    recipe = Recipe(allocation=LAMP(), prune_classifier=True, schedule=OneShot(sparsity=3 / 8))
    pruner = Pruner(model, recipe).prune()
    assert pruner.masks["0.weight"].tolist() == [[False, False], [True, True]]
    assert pruner.masks["1.weight"].tolist() == [[True, True], [False, True]]


def test_lamp_reckons_anew_with_what_is_left():
    """After 3 went, its square is in no denominator: of [1, 2] the scores are 1/5 and 1."""
    one = layer("a", [1.0, 2.0, 3.0], gone=[2])
    assert relative(one.score()).tolist() == [pytest.approx(1 / 5), 1.0, -math.inf]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_lamp_is_exact_nests_and_empties_no_layer(sizes, sparsities):
    g = torch.Generator().manual_seed(len(sizes))
    values = [torch.randn(n, generator=g).abs() * 10.0 ** (3 * i) for i, n in enumerate(sizes)]
    total, before = sum(sizes), None
    for s in sorted(sparsities):
        layers = [layer(str(i), v if before is None else v.masked_fill(~before[i], -math.inf)) for i, v in enumerate(values)]
        keep = list(LAMP()(layers, s, 1.0).values())
        left = [int(k.sum()) for k in keep]
        assert sum(left) == total - round(s * total)
        assert before is None or all(not bool((k & ~b).any()) for k, b in zip(keep, before, strict=True))
        assert min(left) >= 1 or sum(left) < len(sizes)
        before = keep


def test_lamp_with_scores_of_any_scale():
    huge = relative(torch.tensor([1e200, 2e200, 3e200], dtype=torch.float64))
    assert huge.tolist() == pytest.approx([1 / 14, 4 / 13, 1.0])


def test_lamp_refuses_scores_whose_sign_counts():
    with pytest.raises(RecipeError, match=r"it squares the scores, and these have signs that count; score that fits: .*obd"):
        Recipe(allocation=LAMP(), score=Grasp())


# ---------------------------------------------------------------- the floor


def two(first, second):
    return [layer("a", first), layer("b", second)]


def test_a_layer_that_would_be_emptied_keeps_its_best():
    """3 of 8 stay: the best of all are in the second layer, one of them makes room for the best of the first."""
    layers = two([1.0, 2.0, 0.5, 0.1], [9.0, 8.0, 7.0, 6.0])
    kept = {floor: [k.int().tolist() for k in Global(floor=floor)(layers, 5 / 8, 5 / 8).values()] for floor in (0, 1, 2)}
    assert kept[0] == [[0, 0, 0, 0], [1, 1, 1, 0]]
    assert kept[1] == [[0, 1, 0, 0], [1, 1, 0, 0]]
    assert kept[2] == kept[0], "two for each are four, and three are wanted: the count comes first"
    assert [k.int().tolist() for k in Global(floor=2)(layers, 4 / 8, 4 / 8).values()] == [[1, 1, 0, 0], [1, 1, 0, 0]]


def test_the_floor_changes_nothing_where_no_layer_would_be_emptied():
    torch.manual_seed(0)
    layers = two(torch.rand(40), torch.rand(60) + 0.05)
    for s in (0.1, 0.5, 0.9):
        with_it, without = Global()(layers, s, s), Global(floor=0)(layers, s, s)
        assert all(bool(k.any()) for k in without.values())
        assert all(torch.equal(k, without[n]) for n, k in with_it.items())


def test_what_is_gone_is_no_part_of_a_floor():
    layers = [layer("a", torch.ones(4), gone=range(4)), layer("b", torch.rand(6)), layer("c", torch.rand(6) + 2)]
    keep = Global()(layers, 13 / 16, 13 / 16)
    assert [int(k.sum()) for k in keep.values()] == [0, 1, 2]


def test_the_floor_of_units_of_unequal_size():
    layers = [layer("a", torch.rand(4), cost=10), layer("b", torch.rand(6) + 2, cost=3)]
    left = [int(Global(floor=n)(layers, 0.8, 0.8)["a"].sum()) for n in (0, 1)]
    assert left == [0, 1]


@pytest.mark.parametrize("score", [Magnitude(), Snip()], ids=repr)
@pytest.mark.parametrize("allocation", [Global(), LAMP()], ids=repr)
def test_no_layer_is_emptied_at_extreme_sparsity_and_the_count_is_exact(score, allocation):
    model = small_model()
    with torch.no_grad():
        model[3].weight.mul_(1e-3)
    recipe = Recipe(score=score, allocation=allocation, schedule=Iterative(rounds=4).at(1 - 4 / 1696))
    pruner = Pruner(model, recipe, data=small_batches(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in pruner.rounds():
            pass
    assert sum(int(m.sum()) for m in pruner.masks.values()) == 4
    assert min(int(m.sum()) for m in pruner.masks.values()) >= 1


@pytest.mark.parametrize("allocation", [Global(floor=0), Uniform()], ids=repr)
def test_collapse_that_nothing_prevents_is_warned_about(allocation):
    model = small_model()
    with torch.no_grad():
        model[3].weight.mul_(1e-3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pruner = Pruner(model, Recipe(allocation=allocation)).prune(0.9999 if allocation == Uniform() else 0.9)
    empty = [n for n, m in pruner.masks.items() if not bool(m.any())]
    assert "3.weight" in empty
    assert [str(w.message) for w in caught] == [
        f"pruning emptied the layer {n!r}: nothing passes through it any more" for n in empty
    ]
