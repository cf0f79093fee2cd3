"""Rounds build on one another: each is a finished run, and the next goes on from it."""

from __future__ import annotations

import copy
import dataclasses as dc
import itertools
import json
import shutil

import pytest
import torch
from lab_runs import DROPOUT, TRAINING, TUNED, small, what_counts

from secateur import Pruner, Recipe
from secateur.allocation import PerLayer, StdThreshold, Uniform
from secateur.core.component import choices
from secateur.core.errors import RunError
from secateur.core.layers import Layer
from secateur.lab import Experiment, load_model, run, run_all
from secateur.recovery import Finetune, Reinitialize, Rewind, RewindLearningRate
from secateur.schedule import Iterative, OneShot
from secateur.score import Magnitude, Random
from secateur.structure import Filters
from secateur.training import Task, fit
from secateur.training.data import load_data
from secateur.training.loop import mix_seeds
from secateur.training.models import build_model

TICKET = {"method": "lottery_ticket", "method_arguments": {"rate": 0.4, "layers": [["fc3*", 0.2]]}}
KINDS = {
    "ticket": small(**TICKET),
    "late": small(recipe=Recipe(schedule=Iterative(rate=0.4), recovery=Rewind(to=3))),
    "rates": small(recipe=Recipe(schedule=Iterative(rate=0.4), recovery=RewindLearningRate(to=6))),
    "tuned": small(recipe=Recipe(allocation=StdThreshold(), schedule=Iterative(rate=0.4), recovery=Finetune(**TUNED))),
    "random": small(recipe=Recipe(score=Random(), schedule=Iterative(rate=0.4), recovery=Reinitialize(scaled=True))),
    "filters": small(recipe=Recipe(structure=Filters(), schedule=Iterative(rate=0.3), recovery=Rewind(to=3))),
    "initial": small(recipe=Recipe(schedule=Iterative(rate=0.4), recovery=Rewind()), start="initial"),
}


def with_rounds(experiment: Experiment, rounds: int) -> Experiment:
    schedule = dc.replace(experiment.recipe.schedule, rounds=rounds)
    return dc.replace(experiment, recipe=dc.replace(experiment.recipe, schedule=schedule), method_arguments=())


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in ("rates", "random", "initial") else k for k in KINDS]
)
def test_two_rounds_and_then_four_are_four_at_once(kind, finished, tmp_path):
    two, four = (with_rounds(KINDS[kind], r) for r in (2, 4))
    stages = []
    run(two, tmp_path)
    run(four, tmp_path, say=lambda stage, step, steps: stages.append(stage))
    assert set(stages) == {"recovery, round 3", "recovery, round 4"}
    root = finished(four)
    for r in (1, 2, 3, 4):
        assert what_counts(tmp_path, with_rounds(four, r)) == what_counts(root, with_rounds(four, r))


def test_a_chain_is_what_one_loop_of_ones_own_gives(finished):
    """The rounds in one process, one pruner and no files: bit for bit the same network, and the same losses."""
    experiment = with_rounds(KINDS["ticket"], 3)
    root, task = finished(experiment), Task(load_data("digits"))
    torch.manual_seed(mix_seeds(0, 0))
    model = build_model("digits_mlp", **DROPOUT)
    pruner, rows = Pruner(model, experiment.recipe), []
    for _ in pruner.rounds():
        rows += fit(model, task, TRAINING, pruner=pruner, seed=mix_seeds(0, 5, pruner.round))
    found = load_model(experiment, root).state_dict()
    assert all(torch.equal(v, found[n]) for n, v in model.state_dict().items())
    history = what_counts(root, experiment)[0]["history"]
    assert [{k: v for k, v in row.items() if k != "stage"} for row in history] == rows


@pytest.mark.parametrize("kind", ["ticket", "late", "filters"])
def test_masks_are_nested_and_rates_are_of_what_is_left(kind, finished):
    experiment = with_rounds(KINDS[kind], 4)
    root = finished(experiment)
    masks = []
    for r in (1, 2, 3, 4):
        state = torch.load(root / with_rounds(experiment, r).id / "pruner.pt", weights_only=True)["pruner"]
        assert (state["round"], state["events"]) == (r, r)
        masks.append(state["masks"])
        model = load_model(with_rounds(experiment, r), root)
        assert not any(model.get_parameter(n)[~m].any() for n, m in state["masks"].items())
    for before, after in itertools.pairwise(masks):
        assert before.keys() == after.keys()
        for name, mask in after.items():
            assert not bool((mask & ~before[name]).any()), f"{name} came back"
    left = [[int(m.sum()) for n, m in found.items() if n.endswith("weight")] for found in masks]
    if kind == "ticket":
        rates, sizes = (0.4, 0.4, 0.2), (64 * 300, 300 * 100, 100 * 10)
        assert left == [[round(n * (1 - p) ** r) for n, p in zip(sizes, rates, strict=True)] for r in (1, 2, 3, 4)]
    if kind == "late":
        assert [sum(x) for x in left] == [round(49_200 * 0.6**r) for r in (1, 2, 3, 4)]


def test_rewound_weights_are_those_of_step_k_in_every_round(finished):
    experiment = with_rounds(KINDS["late"], 3)
    root = finished(experiment)
    states = [torch.load(root / with_rounds(experiment, r).id / "pruner.pt", weights_only=True)["pruner"] for r in (1, 2, 3)]
    for state in states[1:]:
        assert all(torch.equal(v, states[0]["snapshot"][n]) for n, v in state["snapshot"].items())


def test_what_depends_on_the_number_of_rounds_is_done_at_once():
    rounds = Recipe(schedule=Iterative(rounds=3))
    alone = [
        {"recipe": dc.replace(rounds, schedule=Iterative(rounds=3, even=True))},
        {"recipe": dc.replace(rounds, allocation=PerLayer(other=0.5))},
        {"recipe": dc.replace(rounds, score=Magnitude(penalty=1e-4))},
        {"recipe": rounds, "compression": 4},
        {"recipe": Recipe(schedule=OneShot())},
    ]
    for parts in alone:
        assert small(**parts).follows() == small()
    assert small(recipe=rounds).follows() == small(recipe=dc.replace(rounds, schedule=Iterative(rounds=2)))
    assert small(recipe=rounds, start="initial").follows().follows().follows() is None
    assert small(recipe=rounds, control="scratch_e").follows() == small(recipe=rounds)
    assert small().follows() is None


def test_a_method_and_its_rounds_are_one_chain():
    three = small(method="lottery_ticket", method_arguments={"rounds": 3, "layers": [["fc3*", 0.1]]})
    two = small(method="lottery_ticket", method_arguments={"rounds": 2, "layers": [["fc3*", 0.1]]})
    assert three.follows().id == two.id
    assert Experiment.from_dict(three.follows().to_dict()) == three.follows()


@pytest.mark.parametrize("name", sorted(choices("allocation")))
def test_allocations_that_look_ahead_say_so(name):
    """A chain is right only if an allocation that does not look ahead keeps the same whatever the end."""
    torch.manual_seed(0)
    given = {"per_layer": [PerLayer(other=0.5), PerLayer(other=0.5, sparsity={"a": 0.3}, at=0.4)]}
    for allocation in given.get(name, [choices("allocation")[name]()]):
        weights = {n: torch.randn(8, 6) for n in "ab"}
        layers = [Layer(name=n, weight=w, mask=None, score=w.abs, units=w.numel(), cost=1) for n, w in weights.items()]
        one, other = (allocation(layers, 0.5, final) for final in (0.5, 0.9))
        same = all(torch.equal(one[n], other[n]) for n in one)
        assert same or allocation.looks_ahead


def test_each_round_is_done_once_after_the_one_before(tmp_path):
    experiments = [with_rounds(KINDS["ticket"], r) for r in (1, 3, 2)]
    told = []
    outcomes = run_all(experiments, tmp_path, workers=1, told=lambda o: told.append(o.experiment))
    assert [e.recipe and e.recipe.schedule.rounds for e in told] == [None, 1, 2, 3]
    kept = [o.result["nonzero"] for o in outcomes[:3]]
    assert kept[0] > kept[2] > kept[1]
    assert len(list(tmp_path.glob("*/result.json"))) == 4


@pytest.mark.parametrize("how", ["missing", "corrupt"])
def test_a_round_that_kept_no_masks(how, finished, tmp_path):
    two = with_rounds(KINDS["ticket"], 2)
    shutil.copytree(finished(two), tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / with_rounds(two, 3).id, ignore_errors=True)  # other tests went on
    file = tmp_path / two.id / "pruner.pt"
    file.unlink() if how == "missing" else file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match=r"pruner.pt' is missing or corrupt, .* delete the folder to have it run again"):
        run(with_rounds(two, 3), tmp_path)
    run(two, tmp_path)  # what is finished is still read


def test_the_early_stop_is_at_the_least_validation_loss(finished):
    training = dc.replace(TRAINING, epochs=3, learning_rate=1.0, validate_every=2)
    experiment = dc.replace(with_rounds(KINDS["ticket"], 1), training=training)
    root = finished(experiment)
    for e in (experiment, experiment.dense()):
        result = json.loads((root / e.id / "result.json").read_text())
        rows = [row for row in result["history"] if row["stage"] == result["history"][-1]["stage"]]
        assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12, 14, 15]
        best = min(rows, key=lambda row: row["validation_loss"])
        stop = result["early_stop"]
        assert (stop["step"], stop["validation_loss"]) == (best["step"], best["validation_loss"])
        assert (stop["test"] == result["test"]) == (best["step"] == 15)
    assert what_counts(finished(KINDS["ticket"]), KINDS["ticket"].dense())[0]["early_stop"] is None


def test_uniform_rates_need_no_layers():
    model = build_model("digits_mlp")
    own = Recipe(allocation=PerLayer(other=0.2, at=0.2), schedule=Iterative(rounds=5, rate=0.2))
    even = dc.replace(own, allocation=Uniform())
    masks = []
    for recipe in (own, even):
        pruner = Pruner(copy.deepcopy(model), recipe)
        masks.append([{n: m.clone() for n, m in pruner.masks.items()} for _ in pruner.rounds()])
    for one, other in zip(*masks, strict=True):
        assert all(torch.equal(m, other[n]) for n, m in one.items())
