"""Masks: nested over rounds, exact in number, alike on every device, in every layout and for every seed given twice."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe, prune_
from secateur.allocation import Global, Uniform
from secateur.schedule import Iterative, OneShot
from secateur.score import Magnitude, Random, Snip
from secateur.structure import NM, Blocks, Filters, Kernels, Weights
from secateur.testing import small_batches, small_model

STRUCTURES = [Weights(), Blocks(shape=(8, 1)), Blocks(shape=(2, 2)), NM(n=2, m=4), NM(n=1, m=8), Kernels(), Filters()]
SCORES = [Magnitude(), Magnitude(p=2), Random(seed=5), Snip()]


@pytest.mark.filterwarnings("ignore:pruning emptied the layer")
@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("score", SCORES, ids=repr)
@pytest.mark.parametrize("allocation", [Uniform(), Global()], ids=repr)
def test_masks_nest_over_rounds(structure, score, allocation):
    rate = 1 - (1 - 0.5) ** (1 / 3)
    recipe = Recipe(structure=structure, score=score, allocation=allocation, schedule=Iterative(rounds=3, rate=rate))
    model = small_model()
    pruner = Pruner(model, recipe, data=small_batches(1))
    before = None
    for r, sparsity in enumerate(pruner.rounds()):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))
        pruner.apply()
        after = {n: m.clone() for n, m in pruner.masks.items()}
        if before:
            assert all(not bool((after[n] & ~m).any()) for n, m in before.items())
            assert sum(map(torch.sum, after.values())) < sum(map(torch.sum, before.values()))
        if allocation == Uniform():
            check_uniform(pruner, 1 - (1 - rate) ** r)
        assert sparsity == pruner.sparsity
        before = after


def check_uniform(pruner, sparsity):
    for name, mask in pruner.masks.items():
        if name in pruner.targets:
            units = pruner.recipe.structure.count(pruner.targets[name].shape)
            size = mask.numel() // units
            assert int((~mask).sum()) == round(sparsity * units) * size


@given(
    st.integers(1, 7), st.integers(1, 12), st.sampled_from([(1, 2), (2, 4), (1, 4), (4, 8)]),
    st.lists(st.floats(0, 1), min_size=1, max_size=4), st.booleans(),
)  # fmt: skip
def test_never_more_than_n_of_m_stay_and_never_fewer(out, groups, pattern, shares, ties):
    n, m = pattern
    model = nn.Linear(groups * m, out)
    with torch.no_grad():
        if ties:
            model.weight.round_()
        model.weight.add_(0.25)  # no zeros among the survivors
    pruner = Pruner(model, Recipe(structure=NM(n=n, m=m)))
    for share in [*sorted(shares), 1.0]:
        pruner.prune(share * (1 - n / m))
        kept = pruner.masks["weight"].view(out, groups, m).sum(-1)
        assert int(kept.min()) >= n
    assert bool((kept == n).all())
    assert int((model.weight != 0).sum()) == out * groups * n


@given(st.integers(2, 40), st.integers(2, 40), st.floats(0, 0.999))
def test_the_kept_count_is_exact(out, inputs, sparsity):
    model = nn.Sequential(nn.Linear(inputs, out), nn.ReLU(), nn.Linear(out, out))
    pruner = Pruner(model, Recipe(prune_classifier=True))
    total = out * inputs + out * out
    if round(sparsity * total) > total - 2 * max(out * inputs, out * out):
        with torch.no_grad():  # keeps either layer from going empty, which warns
            model[0].weight[0, 0] = model[2].weight[0, 0] = 9.0
    if round(sparsity * total) > total - 2:
        return
    pruner.prune(sparsity)
    assert sum(int((p == 0).sum()) for p in (model[0].weight, model[2].weight)) == round(sparsity * total)
    assert pruner.sparsity == pytest.approx(round(sparsity * total) / total)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_changes_nothing(structure, dtype):
    """Weights on a grid every dtype holds exactly give one mask, in whatever dtype."""
    masks = []
    for kind in (torch.float32, dtype):
        model = small_model()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_((p * 64).round() / 64)
        masks.append(prune_(model.to(kind), Recipe(structure=structure, schedule=OneShot(sparsity=0.4))).masks)
    assert_equal(*masks)


@pytest.mark.parametrize(
    ("dtype", "rows"), [(torch.float16, [[300.0, 300.0], [400.0, 400.0]]), (torch.bfloat16, [[1.0, 1.0], [1.0, 1.0078125]])]
)
def test_scores_are_reckoned_in_single_precision(dtype, rows):
    """300² overflows a float16, and the mean of 1 and 1.0078125 is 1 in bfloat16: of equals the first would stay."""
    model = nn.Linear(2, 2).to(dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(rows))
    pruner = prune_(model, Recipe(structure=Filters(), score=Magnitude(p=2 if dtype == torch.float16 else 1)))
    assert pruner.masks["weight"].any(1).tolist() == [False, True]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_the_memory_layout_changes_nothing(structure):
    models = [small_model(), small_model()]
    with torch.no_grad():
        for model in models:  # sums on a grid are exact, in whatever order
            for p in model.parameters():
                p.copy_((p * 64).round() / 64)
    models[1].to(memory_format=torch.channels_last)
    assert_equal(*(prune_(m, Recipe(structure=structure, schedule=OneShot(sparsity=0.4))).masks for m in models))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("score", [Magnitude(), Random(seed=5)], ids=repr)
def test_the_device_changes_nothing(structure, score):
    recipe = Recipe(structure=structure, score=score, schedule=OneShot(sparsity=0.4))
    here, there = prune_(small_model(), recipe), prune_(small_model().cuda(), recipe)
    assert_equal(here.masks, {n: m.cpu() for n, m in there.masks.items()})


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
@pytest.mark.parametrize("score", SCORES, ids=repr)
def test_the_same_seed_gives_the_same_model(structure, score):
    recipe = Recipe(structure=structure, score=score, schedule=OneShot(sparsity=0.4))
    found = []
    for stir in (1, 2):
        torch.manual_seed(stir)  # the global generator has no say
        model = small_model()
        prune_(model, recipe, data=small_batches(1))
        found.append(model.state_dict())
    assert_equal(*found)


def test_another_seed_gives_another_mask():
    one, other = (prune_(small_model(), Recipe(score=Random(seed=s))).masks for s in (1, 2))
    assert any(not torch.equal(m, other[n]) for n, m in one.items())


def test_random_draws_anew_at_each_event():
    model = small_model()
    pruner = Pruner(model, Recipe(score=Random()))
    pruner.prune(0.25)
    dense = Pruner(copy.deepcopy(model), Recipe(score=Random())).prune(0.5)
    pruner.prune(0.5)
    assert any(not torch.equal(m, dense.masks[n]) for n, m in pruner.masks.items())


def test_a_masked_filter_gives_exactly_zero_through_its_batch_norm():
    model = small_model()
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, nn.BatchNorm2d):  # as trained: nothing at its initial value
                (
                    nn.init.normal_(m.weight),
                    nn.init.normal_(m.bias),
                    nn.init.normal_(m.running_mean),
                    m.running_var.uniform_(0.5, 2),
                )
    pruner = prune_(model, Recipe(structure=Filters(), allocation=Uniform()))
    x = torch.randn(3, 4, 8, 8)
    for mode in (True, False):
        model.train(mode)
        for conv, norm in ((0, 1), (3, 4)):
            gone = ~pruner.masks[f"{conv}.weight"].flatten(1).any(1)
            out = model[: norm + 1](x)
            assert int(gone.sum()) == gone.numel() // 2
            assert not bool(out[:, gone].any())
            assert bool(out[:, ~gone].any(0).any(-1).any(-1).all())


def test_groups_that_lost_everything_stay_lost():
    units = NM(n=2, m=4).units(torch.ones(1, 4), torch.tensor([[True, False, False, False]]))
    assert units.tolist() == [[math.inf, -math.inf, -math.inf, -math.inf]]


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(v, other[n]) for n, v in one.items())
