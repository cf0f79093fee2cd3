"""Coupled units: exact in number, nested, dead through training, cut to what was foretold, resumed without a changed bit."""

from __future__ import annotations

import copy
import dataclasses as dc
import io
import itertools

import pytest
import torch
from coupled_nets import IMAGES, TOKENS, Attention, Net, batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur import ModelError, Pruner, Recipe, prune_, shrink_
from secateur.allocation import Global, Uniform
from secateur.graph.analysis import analyse
from secateur.recovery import Finetune, Rewind
from secateur.schedule import Iterative, OneShot, Polynomial
from secateur.score import Magnitude, Random, Snip, Taylor
from secateur.structure import Filters, Heads, Inputs, Neurons

STRUCTURES = [Filters(), Filters(reduce="l2", members="all", normalize="mean"), Neurons(across="max"), Inputs(reduce="sum")]
RAMP = Polynomial(sparsity=0.6, initial=0.2, begin=2, end=8, every=3, power=1)


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)


def train(model, optimizer, pruner, todo):
    model.train()
    for x, y in todo:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()
    return model.eval()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())


@settings(max_examples=12)
@given(
    st.integers(2, 7), st.integers(2, 9), st.integers(2, 11), st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.sampled_from(STRUCTURES), st.sampled_from([Random(), Magnitude()]),
)  # fmt: skip
def test_every_group_loses_exactly_its_share_and_never_its_last_unit(width, inner, hidden, shares, structure, score):
    pruner = Pruner(
        Net(width, inner, hidden), Recipe(structure=structure, score=score, allocation=Uniform()), example_inputs=IMAGES
    )
    before: dict[str, set[int]] = {}
    for share in sorted(shares):
        pruner.prune(share)
        plan = {n: set(units) for n, units in pruner.plan.items()}
        for name, group in pruner.targets.items():
            assert len(plan.get(name, ())) == min(round(share * group.units), group.units - 1)
            assert before.get(name, set()) <= plan.get(name, set())
        before = plan


@settings(max_examples=15)
@given(st.integers(2, 9), st.integers(1, 4), st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_equal_units_are_counted_exactly_over_all_groups(width, layers, shares):
    parts = [nn.Linear(width, width, bias=False) for _ in range(layers + 1)]
    model = nn.Sequential(*(p for part in parts for p in (part, nn.Tanh())))
    pruner = Pruner(model, Recipe(structure=Neurons(), allocation=Global()), example_inputs=torch.zeros(2, width))
    units = width * layers
    for share in sorted(shares):
        pruner.prune(share)
        assert sum(map(len, pruner.plan.values())) == min(round(share * units), units - layers)
        assert pruner.sparsity == pytest.approx(sum(map(len, pruner.plan.values())) / units)


@settings(max_examples=10)
@given(st.integers(2, 7), st.integers(2, 9), st.floats(0, 1), st.sampled_from(STRUCTURES), st.booleans(), st.booleans())
def test_the_cut_model_is_the_masked_one_and_as_small_as_foretold(width, inner, share, structure, globally, bias):
    model = Net(width, inner, bias=bias).eval()
    analysis = analyse(model, IMAGES)
    recipe = Recipe(
        structure=structure, allocation=Global() if globally else Uniform(), schedule=OneShot(sparsity=min(share, 0.99))
    )
    pruner = prune_(model, recipe, example_inputs=IMAGES)
    owned = sum(int((~m).sum()) for m in pruner.masks.values())
    parameters, masked = sum(p.numel() for p in model.parameters()), model(IMAGES)
    try:
        shrunk = shrink_(model, IMAGES, pruner.plan)
    except ModelError as refusal:  # a network so narrow that its ReLUs died
        if "equal outputs would prove nothing" in str(refusal):
            return
        raise
    assert (shrunk.kept, shrunk.error < 1e-10) == ({}, True)
    assert sum(p.numel() for p in model.parameters()) == analysis.params(pruner.plan) == parameters - owned
    torch.testing.assert_close(model(IMAGES), masked)


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_dead_units_stay_dead_through_training_and_are_then_cut(structure):
    model = Net(hidden=24, bias=True)
    optimizer = sgd(model)
    recipe = Recipe(structure=structure, allocation=Uniform(), schedule=RAMP)
    pruner = Pruner(model, recipe, example_inputs=IMAGES, optimizer=optimizer)
    train(model, optimizer, pruner, batches(12))
    assert pruner.events == 3
    assert min(len(units) / pruner.targets[n].units for n, units in pruner.plan.items()) >= 0.5
    for name, mask in pruner.masks.items():
        assert not bool(model.get_parameter(name)[~mask].any()), name
        assert bool(model.get_parameter(name)[mask].any()), name
    seen, handles = {}, []
    for name in ("bn0", "bn1", "bn2", "hidden"):
        layer = model.get_submodule(name)
        handles.append(layer.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out})))
    group_of = {"bn0": "stem", "bn1": "up", "bn2": "up", "hidden": "hidden"}
    for mode in (True, False):
        model.train(mode)(batches(1, seed=9)[0][0])
        for layer, out in seen.items():
            dead = pruner.plan.get(group_of[layer], [])
            assert not bool(out[:, dead].any())
            assert bool(out.any())
    for handle in handles:
        handle.remove()
    shrunk = shrink_(model.eval(), IMAGES, pruner.plan)
    assert (shrunk.kept, shrunk.error < 1e-10) == ({}, True)


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("score", [Random(), Snip(), Taylor()], ids=repr)
@pytest.mark.parametrize("stop", [1, 2, 4, 9])
def test_resuming_in_a_ramp_changes_no_bit(score, stop):
    recipe, todo = Recipe(structure=Filters(), score=score, schedule=RAMP), batches(10)

    def make(model):
        optimizer = sgd(model)
        return model, optimizer, Pruner(model, recipe, example_inputs=IMAGES, optimizer=optimizer, data=batches(1, seed=5))

    model, optimizer, pruner = make(Net())
    train(model, optimizer, pruner, todo[:stop])
    saved = through_a_file({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "pruner": pruner.state_dict()})
    train(model, optimizer, pruner, todo[stop:])
    again, other, resumed = make(Net(seed=8))
    again.load_state_dict(saved["model"])
    other.load_state_dict(saved["optimizer"])
    resumed.load_state_dict(saved["pruner"])
    train(again, other, resumed, todo[stop:])
    assert same(model.state_dict(), again.state_dict())
    assert same(pruner.masks, resumed.masks)
    assert (resumed.plan, resumed.t, resumed.events) == (pruner.plan, 10, 3)


@pytest.mark.parametrize("recovery", [Finetune(), Rewind(to=0)], ids=repr)
def test_rounds_nest_and_go_on_where_they_were(recovery):
    recipe = Recipe(structure=Filters(), schedule=Iterative(rounds=3, rate=0.3), recovery=recovery)
    model = Net()
    pruner, plans, state = Pruner(model, recipe, example_inputs=IMAGES), [], {}
    for _ in pruner.rounds():
        plans.append({n: set(u) for n, u in pruner.plan.items()})
        if pruner.round == 1:
            state = through_a_file({"model": model.state_dict(), "pruner": pruner.state_dict()})
    assert all(one.get(n, set()) <= other[n] for one, other in itertools.pairwise(plans) for n in other)
    again = Net(seed=4)
    again.load_state_dict(state["model"])
    resumed = Pruner(again, recipe, example_inputs=IMAGES)
    resumed.load_state_dict(state["pruner"])
    for _ in resumed.rounds():
        pass
    assert resumed.plan == pruner.plan
    assert same(model.state_dict(), again.state_dict())


@pytest.mark.parametrize("structure", [*STRUCTURES, Heads()], ids=repr)
@pytest.mark.parametrize("score", [Random(seed=2), Magnitude(p=2)], ids=repr)
def test_the_same_seed_gives_the_same_units(structure, score):
    make, x = (Attention, TOKENS) if structure == Heads() else (Net, IMAGES)
    plans = []
    for stir in (1, 2):
        torch.manual_seed(stir)  # the global generator has no say
        plans.append(prune_(make(), Recipe(structure=structure, score=score), example_inputs=x).plan)
    assert plans[0] == plans[1] != {}


def test_a_copy_goes_on_alike():
    model = Net()
    optimizer = sgd(model)
    pruner = Pruner(model, Recipe(structure=Filters(), schedule=RAMP), example_inputs=IMAGES, optimizer=optimizer)
    todo = batches(10)
    train(model, optimizer, pruner, todo[:4])
    twin = copy.deepcopy((model, optimizer, pruner))
    train(model, optimizer, pruner, todo[4:])
    train(*twin, todo[4:])
    assert same(model.state_dict(), twin[0].state_dict())
    assert pruner.plan == twin[2].plan
    assert twin[2].model is twin[0]


# ---------------------------------------------------------------- states of something else


def test_states_do_not_cross():
    recipe = Recipe(structure=Filters(), allocation=Uniform())
    coupled, alone = prune_(Net(), recipe, example_inputs=IMAGES), prune_(Net(), recipe)
    with pytest.raises(ModelError, match="this state is of a pruner with example_inputs"):
        alone.load_state_dict(coupled.state_dict())
    with pytest.raises(ModelError, match="this state is of a pruner without example_inputs"):
        coupled.load_state_dict(alone.state_dict())
    wider = Pruner(Net(width=7), recipe, example_inputs=IMAGES)
    with pytest.raises(ModelError, match=r"this state is of another model: its groups have units {'stem': 6, 'up': 8"):
        wider.load_state_dict(coupled.state_dict())
    assert wider.plan == {}


def test_half_precision_and_other_recipes_are_scored_alike():
    model = Net()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((p * 64).round() / 64)
    plans = []
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        recipe = dc.replace(Recipe(structure=Filters()), allocation=Uniform())
        plans.append(prune_(copy.deepcopy(model).to(dtype), recipe, example_inputs=IMAGES.to(dtype)).plan)
    assert plans[0] == plans[1] == plans[2]
