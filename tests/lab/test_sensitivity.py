"""The scan prunes one layer at a time, as the allocation it suggests will, and leaves the model with the bits it had."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur import DataError, ModelError, Pruner, Recipe, RecipeError
from secateur.allocation import PerLayer, StdThreshold
from secateur.lab import Scan, sensitivity
from secateur.recovery import Finetune, Rewind, recalibrate_
from secateur.schedule import Cubic
from secateur.score import Random, Snip
from secateur.structure import NM, Filters, Weights
from secateur.testing import small_batches, small_model
from secateur.training import Task, Training, fit
from secateur.training.data import load_data
from secateur.training.models import build_model

X = torch.randn(16, 4, 8, 8, generator=torch.Generator().manual_seed(3))
ALONE = {"weights": Weights(), "filters": Filters()}


def figure(model):
    """Some number that depends on every weight."""
    with torch.no_grad():
        return float(model.eval()(X).square().mean())


def bits(model):
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return {n: t.detach().numpy().tobytes() for n, t in tensors}, [m.training for m in model.modules()]


def careless(model):
    """An evaluation that leaves traces: in training mode, with a weight changed."""
    with torch.no_grad():
        found = model.train()(X).square().mean()
        model[0].weight.mul_(2)
    return found


@settings(max_examples=15)
@given(
    seed=st.integers(0, 99),
    modes=st.lists(st.booleans(), min_size=12, max_size=12),
    structure=st.sampled_from(list(ALONE.values())),
    coupled=st.booleans(),
    evaluate=st.sampled_from([figure, careless]),
    sparsities=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=2),
    killed=st.integers(0, 4),
)
def test_the_model_is_bit_equal_afterwards(seed, modes, structure, coupled, evaluate, sparsities, killed):
    model = small_model(seed)
    with torch.no_grad():  # values that a sum would lose
        model[0].weight.view(-1)[:3] = torch.tensor([1e30, -0.0, 1e-42])
    for m, mode in zip(model.modules(), modes, strict=True):
        m.training = mode
    before, calls = bits(model), 0

    def counted(m):
        nonlocal calls
        calls += 1
        if calls == killed:
            raise KeyboardInterrupt
        return 0.0 if evaluate(m) is None else float(calls)

    inputs = X[:2] if coupled and isinstance(structure, Filters) else None
    try:
        sensitivity(model, Recipe(structure=structure), counted, sparsities=sparsities, example_inputs=inputs)
    except KeyboardInterrupt:
        assert calls == killed
    assert bits(model) == before


@pytest.mark.parametrize(("kind", "coupled"), [("weights", False), ("filters", False), ("filters", True)])
def test_each_figure_is_that_of_pruning_the_layer_alone(kind, coupled):
    recipe, inputs = Recipe(structure=ALONE[kind]), X[:2] if coupled else None
    model = small_model()
    scan = sensitivity(model, recipe, figure, sparsities=(0.75, 0.25), example_inputs=inputs)
    assert scan.dense == figure(small_model())
    assert scan.sparsities == (0.25, 0.75)
    assert list(scan.figures) == list(Pruner(small_model(), recipe, example_inputs=inputs).targets)
    for name, row in scan.figures.items():
        for s, found in zip(scan.sparsities, row, strict=True):
            pruned = small_model()
            Pruner(pruned, Recipe(structure=ALONE[kind], allocation=PerLayer(sparsity={name: s})), example_inputs=inputs).prune()
            assert found == figure(pruned), (name, s)
    assert len({f for row in scan.figures.values() for f in row}) == 2 * len(scan.figures), "no trial is like another"


def test_a_trial_has_one_layer_pruned_and_its_followers():
    dense, seen = dict(small_model().named_parameters()), []

    def spy(model):
        changed = {n for n, p in model.named_parameters() if not torch.equal(p, dense[n])}
        seen.append((changed, int((model[3].weight.flatten(1).abs().sum(1) == 0).sum())))
        return 1

    sensitivity(small_model(), Recipe(structure=Filters()), spy, sparsities=(0.5,))
    biases = {"0.weight", "0.bias", "1.weight"}  # batch norm's bias is 0 from the start
    assert seen == [(set(), 0), (biases, 0), ({"3.weight", "4.weight"}, 8), ({"8.weight", "8.bias"}, 0)]


def test_what_the_recipe_says_elsewhere_does_not_matter():
    """The allocation is what is asked, the schedule and the recovery speak of training."""
    wanted = sensitivity(small_model(), Recipe(), figure, sparsities=(0.3,))
    others = [
        Recipe(allocation=StdThreshold()), Recipe(schedule=Cubic()), Recipe(recovery=Rewind(to=7)),
        Recipe(recovery=Finetune(adjust_dropout=True)), Recipe(allocation=PerLayer(sparsity={"0.*": 0.9})),
    ]  # fmt: skip
    assert all(sensitivity(small_model(), r, figure, sparsities=(0.3,)) == wanted for r in others)
    fewer = sensitivity(small_model(), Recipe(exclude=("3.*",), prune_classifier=True), figure, sparsities=(0.3,))
    assert list(fewer.figures) == ["0.weight", "8.weight", "10.weight"]


def test_scores_that_need_data():
    data = small_batches(2)
    found = sensitivity(small_model(), Recipe(score=Snip()), figure, sparsities=(0.5,), data=data)
    pruned = small_model()
    Pruner(pruned, Recipe(score=Snip(), allocation=PerLayer(sparsity={"3.weight": 0.5})), data=data).prune()
    assert found.figures["3.weight"] == (figure(pruned),)
    with pytest.raises(DataError, match="needs gradients"):
        sensitivity(small_model(), Recipe(score=Snip()), figure, sparsities=(0.5,))
    model = small_model()
    rows = [sensitivity(model, Recipe(score=Random(seed=1)), figure, sparsities=(0.5,)).figures for _ in range(2)]
    assert rows[0] == rows[1]


def test_trials_are_recalibrated_when_the_recipe_recalibrates():
    data = small_batches(3)
    recipe = Recipe(recovery=Finetune(recalibrate=16))
    scan = sensitivity(small_model(), recipe, figure, sparsities=(0.5,), data=data)
    pruned = small_model()
    Pruner(pruned, Recipe(allocation=PerLayer(sparsity={"0.weight": 0.5}))).prune()
    raw = figure(pruned)
    recalibrate_(pruned, data, examples=16)
    assert scan.figures["0.weight"] == (figure(pruned),) != (raw,)
    assert scan.dense == figure(small_model()), "the dense network is taken as it is"
    with pytest.raises(DataError, match=r"recovery 'finetune' recalibrates batch norms on training data; pass data="):
        sensitivity(small_model(), recipe, figure)


# ---------------------------------------------------------------- from figures to sparsities

SCAN = Scan(
    dense=0.92,
    sparsities=(0.1, 0.3, 0.5),
    figures={
        "flat": (0.92, 0.915, 0.91),
        "steep": (0.80, 0.50, 0.10),
        "dented": (0.91, 0.85, 0.93),
        "better": (0.95, 0.95, 0.94),
    },
)


@pytest.mark.parametrize(
    ("tolerance", "wanted"),
    [
        (0.0, {"flat": 0.1, "steep": 0.0, "dented": 0.0, "better": 0.5}),
        (0.011, {"flat": 0.5, "steep": 0.0, "dented": 0.1, "better": 0.5}),
        (0.08, {"flat": 0.5, "steep": 0.0, "dented": 0.5, "better": 0.5}),
        (0.43, {"flat": 0.5, "steep": 0.3, "dented": 0.5, "better": 0.5}),
        (1.0, {"flat": 0.5, "steep": 0.5, "dented": 0.5, "better": 0.5}),
        (-0.01, {"flat": 0.0, "steep": 0.0, "dented": 0.0, "better": 0.5}),
    ],
)
def test_a_tolerance_becomes_sparsities(tolerance, wanted):
    assert SCAN.largest(tolerance) == wanted
    assert dict(SCAN.allocation(tolerance).sparsity) == {n: s for n, s in wanted.items() if s}
    assert SCAN.allocation(tolerance).other == 0


@given(st.lists(st.floats(-0.5, 1.5), min_size=2, max_size=6))
def test_more_tolerance_never_prunes_less(tolerances):
    found = [SCAN.largest(t) for t in sorted(tolerances)]
    assert all(one[n] <= other[n] for one, other in itertools.pairwise(found) for n in one)


def test_the_forms_of_a_scan():
    assert SCAN.to_csv().splitlines()[:2] == ["layer,0,0.1,0.3,0.5", "flat,0.92,0.92,0.915,0.91"]
    assert json.loads(json.dumps(SCAN.to_dict()))["figures"]["steep"] == [0.8, 0.5, 0.1]
    text = str(SCAN)
    assert "dense: 0.92" in text
    assert any(line.split() == ["dented", "0.91", "0.85", "0.93"] for line in text.splitlines())


def test_names_that_look_like_patterns():
    model = nn.Sequential()
    for name in ("a[1]", "a1", "b*", "bc"):
        model.add_module(name, nn.Linear(6, 6))
    model.add_module("last", nn.Linear(6, 2))
    x = torch.randn(5, 6)
    scan = sensitivity(copy.deepcopy(model), Recipe(), lambda m: m(x).abs().sum().detach(), sparsities=(0.5,))
    chosen = Scan(dense=1, sparsities=(0.5,), figures={n: (1.0 if n[:2] in ("a[", "b*") else 0.0,) for n in scan.figures})
    pruner = Pruner(model, Recipe(allocation=chosen.allocation(0.1))).prune()
    assert {n for n, m in pruner.masks.items() if not bool(m.all())} == {"a[1].weight", "b*.weight"}


def test_what_is_refused():
    with pytest.raises(RecipeError, match=r"sparsities must be fractions removed, > 0 and ≤ 1; got \[\]"):
        sensitivity(small_model(), Recipe(), figure, sparsities=())
    with pytest.raises(RecipeError, match=r"got 1\.5"):
        sensitivity(small_model(), Recipe(), figure, sparsities=(0.5, 1.5))
    with pytest.raises(RecipeError, match=r"≤ 0\.5 for this structure"):
        sensitivity(small_model(), Recipe(structure=NM()), figure, sparsities=(0.75,))
    values = iter([1.0, float("nan")])
    with pytest.raises(DataError, match=r"NaN\) for '0.weight' at sparsity 0.5"):
        sensitivity(small_model(), Recipe(), lambda m: next(values), sparsities=(0.5,))
    with pytest.raises(ModelError, match="nothing is left to prune"):
        sensitivity(nn.BatchNorm1d(3), Recipe(), figure)


def test_an_emptied_layer_is_a_trial_like_any_other():
    scan = sensitivity(small_model(), Recipe(structure=Filters()), figure, sparsities=(1.0,))
    assert all(len(row) == 1 for row in scan.figures.values())


def test_progress_is_told():
    told = []
    sensitivity(small_model(), Recipe(), figure, sparsities=(0.2, 0.4), say=lambda *a: told.append(a))
    assert told == [(n, i + 1, 6) for i, n in enumerate(["0.weight", "3.weight", "8.weight"] * 2)]


def test_on_validation_data_it_finds_what_a_trained_network_can_spare():
    torch.manual_seed(0)
    task, model = Task(load_data("digits")), build_model("digits_mlp")
    fit(model, task, Training(epochs=4, batch_size=64))

    def top1(m):
        return task.evaluate(m, task.data.validation)["top1"]

    scan = sensitivity(model, Recipe(), top1, sparsities=(0.3, 0.6, 0.95))
    assert scan.dense > 0.9
    assert all(row[0] > scan.dense - 0.02 for row in scan.figures.values())
    assert all(row[-1] < row[0] for row in scan.figures.values())
    pruner = Pruner(model, Recipe(allocation=scan.allocation(0.02))).prune()
    assert pruner.sparsity > 0.25
    assert top1(model) > scan.dense - 0.1
