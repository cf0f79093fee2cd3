"""Targets that are found by measuring: met, by no more than one step, at every event; refused before any work."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from coupled_nets import IMAGES, TOKENS, Attention, Net, batches
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import secateur as sc
from secateur import Bytes, Compression, Latency, Macs, ModelError, Params, Pruner, Recipe, RecipeError, Sparsity, prune_, shrink_
from secateur.allocation import Global, PerLayer, Uniform
from secateur.evaluate.macs import count_macs
from secateur.graph.analysis import analyse
from secateur.schedule import Iterative, OneShot, Polynomial
from secateur.score import Random, Taylor
from secateur.structure import NM, Blocks, Filters, Heads, Neurons, Weights
from secateur.testing import small_batches, small_model

X = small_batches(1)[0][0]


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def stored(model):
    return sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])


def amount(model, x, goal):
    """What the goal counts, of a model as it is."""
    return {Macs: lambda: count_macs(model, x).total, Params: lambda: parameters(model), Bytes: lambda: stored(model)}[
        type(goal)
    ]()


@pytest.mark.parametrize("kind", [Macs, Params, Bytes])
@pytest.mark.parametrize("left", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("allocation", [Global(), Uniform()], ids=repr)
def test_a_cut_model_meets_its_target_and_hardly_more(kind, left, allocation):
    model = Net(12, 16, 20).eval()
    dense = amount(model, IMAGES, kind(left))
    structure = Filters(reduce="l2", members="all", normalize="mean")
    pruner = prune_(model, Recipe(structure=structure, allocation=allocation), example_inputs=IMAGES, target=kind(left))
    shrunk = shrink_(model, IMAGES, pruner.plan)
    assert not shrunk.kept
    assert amount(model, IMAGES, kind(left)) <= left * dense
    step = 1 / 20 if allocation == Uniform() else 1 / 40
    whole = Pruner(Net(12, 16, 20), pruner.recipe, example_inputs=IMAGES)
    softer = whole.preview([max(0.0, pruner.sparsity - step)], [kind.quantity])[0][kind.quantity]
    assert softer > left * dense, "a step less would not have met it"


@settings(max_examples=10)
@given(st.integers(3, 9), st.integers(1, 4), st.floats(0.1, 1), st.sampled_from([Macs, Params]))
def test_one_unit_less_would_be_too_much(width, layers, left, kind):
    """Equal units in one ranking: of the removed ones the best could not have stayed."""
    parts = [nn.Linear(width, width, bias=False) for _ in range(layers + 1)]
    model, x = nn.Sequential(*(p for part in parts for p in (part, nn.Tanh()))), torch.zeros(2, width)
    analysis = analyse(model, x)
    measure = analysis.macs if kind is Macs else analysis.params
    least = measure({str(2 * k): range(width - 1) for k in range(layers)})
    recipe = Recipe(structure=Neurons())
    if left * measure({}) < least:
        with pytest.raises(ModelError, match=f"the most that can go leaves {least:,} of"):
            Pruner(model, recipe, example_inputs=x, target=kind(left))
        return
    pruner = Pruner(model, recipe, example_inputs=x, target=kind(left))
    layers_seen = pruner._evidence.layers(0)
    scores = {layer.name: layer.score() for layer in layers_seen}
    pruner.prune()
    assert measure(pruner.plan) <= left * measure({})
    if not pruner.plan:
        return
    name, unit = max(((n, u) for n, units in pruner.plan.items() for u in units), key=lambda at: float(scores[at[0]][at[1]]))
    back = {n: [u for u in units if (n, u) != (name, unit)] for n, units in pruner.plan.items()}
    assert measure(back) > left * measure({})


def test_amounts_above_one_are_absolute():
    model = Net(12, 16, 20)
    for goal, count in ((Macs(40_000), "macs"), (Params(900.0), "params"), (Bytes(6_000), "bytes")):
        pruner = Pruner(copy.deepcopy(model), Recipe(structure=Filters()), example_inputs=IMAGES, target=goal)
        left = pruner.prune().preview([0.0], [count])[0][count]
        assert 0.8 * goal.amount < left <= goal.amount


def test_a_compression_of_units_is_one_of_parameters():
    one, other = Net(12, 16, 20), Net(12, 16, 20)
    recipe = Recipe(structure=Filters(), allocation=Uniform())
    plan = prune_(one, recipe, example_inputs=IMAGES, target=Compression(4)).plan
    assert plan == prune_(other, recipe, example_inputs=IMAGES, target=Params(0.25)).plan
    shrink_(one.eval(), IMAGES, plan)
    assert parameters(other) / parameters(one) >= 4
    assert prune_(Net(), recipe, example_inputs=IMAGES, target=Sparsity(0.25)).sparsity == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("structure", [Weights(), Blocks(shape=(2, 2)), NM(), Filters()], ids=repr)
@pytest.mark.parametrize("goal", [Macs(0.6), Params(0.6), Params(1_200)], ids=repr)
def test_masks_meet_a_target_of_what_is_not_zero(structure, goal):
    model = small_model()
    with torch.no_grad():
        for p in model.parameters():
            p.add_((p == 0).float())
    dense_macs, dense_params = count_macs(model, X).total, parameters(model)
    recipe = Recipe(structure=structure, allocation=Uniform(), score=Random())
    pruner = Pruner(model, recipe, example_inputs=None if structure.couples and goal != Macs(0.6) else X, target=goal)
    if structure.couples and goal == Macs(0.6):
        assert "units" in pruner.state_dict(), "coupled"
        return
    pruner.prune()
    left = count_macs(model, X).effective if isinstance(goal, Macs) else sum(int((p != 0).sum()) for p in model.parameters())
    limit = goal.limit(dense_macs if isinstance(goal, Macs) else dense_params)
    assert 0.9 * limit < left <= limit


def test_bytes_of_masks_are_those_of_the_file(tmp_path):
    model = small_model()
    sc.save(model, tmp_path / "dense.safetensors")
    dense = (tmp_path / "dense.safetensors").stat().st_size
    prune_(model, Recipe(), target=Bytes(0.7))
    sc.save(model, tmp_path / "small.safetensors")
    assert 0.6 * dense < (tmp_path / "small.safetensors").stat().st_size <= 0.7 * dense


@pytest.mark.parametrize("schedule", [Iterative(rounds=3, rate=0.4), Iterative(rounds=4, rate=0.2, even=True)], ids=repr)
def test_every_round_meets_its_share(schedule):
    model = Net(16, 24, 32)
    recipe = Recipe(structure=Filters(), schedule=schedule, score=Random())
    pruner = Pruner(model, recipe, example_inputs=IMAGES, target=Macs(0.3))
    analysis = analyse(model, IMAGES)
    dense = analysis.macs({})
    for _ in pruner.rounds():
        share = (schedule.at_round(pruner.round) or 0) / schedule.final
        limit = dense - share * 0.7 * dense
        assert limit - dense / 16 <= analysis.macs(pruner.plan) <= limit, "no unit has more than a channel of the stem"
    assert analysis.macs(pruner.plan) <= 0.3 * dense


def test_a_ramp_meets_its_shares_with_the_scores_of_the_time():
    model = Net(16, 24, 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    ramp = Polynomial(sparsity=0.5, begin=0, end=4, every=2, power=1)
    recipe = Recipe(structure=Filters(reduce="abs_sum", members="consumers"), score=Taylor(signed=True), schedule=ramp)
    pruner = Pruner(model, recipe, example_inputs=IMAGES, target=Params(0.5), data=batches(1), optimizer=optimizer)
    analysis, left = analyse(model, IMAGES), []
    for x, y in batches(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()
        left.append(analysis.params(pruner.plan) / analysis.params({}))
    assert left[0] == 1
    assert 0.72 < left[1] <= 0.75
    assert left[1] == left[2]
    assert 0.47 < left[3] <= 0.5


def test_an_explicit_sparsity_is_itself():
    pruner = Pruner(Net(), Recipe(structure=Neurons()), example_inputs=IMAGES, target=Macs(0.99))
    assert pruner.prune(0.8).sparsity == 0.8


def test_what_a_state_says_of_its_target():
    recipe = Recipe(structure=Filters())
    state = prune_(Net(), recipe, example_inputs=IMAGES, target=Macs(0.5)).state_dict()
    assert state["target"] == {"name": "Macs", "amount": 0.5}
    Pruner(Net(), recipe, example_inputs=IMAGES, target=Macs(0.5)).load_state_dict(state)
    with pytest.raises(ModelError) as e:
        Pruner(Net(), recipe, example_inputs=IMAGES, target=Params(0.5)).load_state_dict(state)
    assert str(e.value) == (
        "this state is of a pruner with target {'name': 'Macs', 'amount': 0.5}; this pruner has {'name': 'Params', 'amount': 0.5}"
    )


def test_latency_is_of_a_model_that_is_really_cut(monkeypatch):
    def counted(runs, **_):  # a clock that no other process slows down
        with FlopCounterMode(display=False) as counter:
            runs["small"]()
        return SimpleNamespace(latencies={"small": SimpleNamespace(median_ms=counter.get_total_flops() / 1e6)})

    monkeypatch.setattr("secateur.units.meter.compare_latency", counted)
    model = nn.Sequential(nn.Linear(64, 3000), nn.ReLU(), nn.Linear(3000, 64)).eval()
    x = torch.randn(64, 64)
    recipe = Recipe(structure=Neurons(), allocation=Uniform())
    dense, least = (r["latency"] for r in Pruner(model, recipe, example_inputs=x).preview([0.0, 0.98], ["latency"]))
    assert least < dense / 3
    goal = Latency(dense / 2)
    pruner = prune_(model, recipe, example_inputs=x, target=goal)
    assert 0.1 < pruner.sparsity < 0.98
    assert pruner.preview([pruner.sparsity], ["latency"])[0]["latency"] <= 0.5 * dense


def test_a_model_so_narrow_that_nothing_comes_through_can_still_be_timed():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    pruner = Pruner(model, Recipe(structure=Neurons()), example_inputs=torch.randn(2, 4), target=Latency(1e3))
    assert pruner.preview([0.5], ["latency"])[0]["latency"] > 0


# ---------------------------------------------------------------- refusals, all before any work


def test_out_of_reach():
    model = Net(6, 8, 10)
    least = analyse(model, IMAGES).macs({"stem": range(5), "up": range(7), "hidden": range(9)})
    dense = analyse(model, IMAGES).macs({})
    with pytest.raises(ModelError) as e:
        Pruner(model, Recipe(structure=Filters()), example_inputs=IMAGES, target=Macs(0.01))
    assert str(e.value) == (
        f"Macs(amount=0.01) cannot be reached: the most that can go leaves {least:,} of {dense:,} multiply-adds "
        f"({least / dense:.2%}), and the target is {0.01 * dense:,.0f}; ask for more, or let more be pruned "
        "(include=..., fewer exclude, a smaller round_to)"
    )
    assert Pruner(model, Recipe(structure=Filters()), example_inputs=IMAGES, target=Macs(least)).prune().plan


@pytest.mark.parametrize(
    ("structure", "goal", "sentence"),
    [
        (Filters(), Compression(1e3), "Compression\\(ratio=1000.0\\) cannot be reached: the most that can go leaves"),
        (Filters(round_to=4), Params(0.05), "cannot be reached: the most that can go leaves"),
        (Filters(), Latency(1e-9), "milliseconds"),
        (Weights(), Macs(1e-6), "cannot be reached"),
        (NM(), Params(0.3), "cannot be reached: the most that can go leaves"),
        (Weights(), Latency(1.0), "structure 'weights' leaves a model of the same shapes, which runs no faster here"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_refused(structure, goal, sentence):
    with pytest.raises(ModelError, match=sentence):
        Pruner(Net(), Recipe(structure=structure, allocation=Uniform()), example_inputs=IMAGES, target=goal)


def test_multiply_adds_need_an_example():
    with pytest.raises(ModelError) as e:
        Pruner(small_model(), Recipe(), target=Macs(0.5))
    assert str(e.value) == "counting multiply-adds needs an example: pass Pruner(model, recipe, example_inputs=...)"


def test_an_allocation_that_sets_its_own_sparsities_takes_no_limit():
    with pytest.raises(RecipeError, match="sets each layer's sparsity itself"):
        Pruner(Net(), Recipe(structure=Filters(), allocation=PerLayer(other=0.5)), example_inputs=IMAGES, target=Macs(0.5))


def test_heads_to_a_target():
    model = Attention(heads=6, kv=3)
    pruner = prune_(model, Recipe(structure=Heads(), schedule=OneShot()), example_inputs=TOKENS, target=Params(0.9))
    assert 0 < sum(map(len, pruner.plan.values())) < 3
