"""Learned scores in the ready-made loop: they sparsify without losing accuracy, and an interrupted run ends the same."""

from __future__ import annotations

import copy
import dataclasses as dc

import pytest
import torch
from torch import nn

from secateur import Pruner
from secateur.lab import Experiment, run
from secateur.methods import make
from secateur.training import Progress, Task, Training, fit
from secateur.training.data import load_data

EPOCHS, BATCH = 20, 64


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 40), nn.ReLU(), nn.Linear(40, 10))


@pytest.fixture(scope="module")
def task():
    return Task(load_data("digits"))


def settings(**more):
    usual = {"epochs": EPOCHS, "batch_size": BATCH, "optimizer": "adam", "learning_rate": 5e-3, "weight_decay": 0.0}
    return Training(**{**usual, "decay": "linear", **more})


def methods(task):
    """Each with what suits so short a training of so few examples."""
    n = len(task.data.train)
    steps = settings().steps(n)
    return {
        "variational_dropout": {"examples": n, "steps": steps, "begin": steps // 10, "ramp": steps // 5},
        "l0_hard_concrete": {"examples": n, "steps": steps * 4 // 5, "penalty": 0.3, "gate_learning_rate": 0.05},
        "movement": {"sparsity": 0.9, "begin": 0, "end": steps // 20 * 15, "every": steps // 20},
        "soft_movement": {"penalty": 100.0, "ramp": steps // 2, "steps": steps * 3 // 4, "mask_learning_rate": 0.05},
    }


@pytest.mark.parametrize(
    ("name", "least", "accuracy"),
    [
        ("variational_dropout", 0.85, 0.94),
        ("l0_hard_concrete", 0.15, 0.95),
        ("movement", 0.9, 0.96),
        ("soft_movement", 0.5, 0.96),
    ],
)
def test_it_sparsifies_and_stays_accurate(name, least, accuracy, task):
    torch.manual_seed(0)
    model = network()
    pruner = Pruner(model, make(name, **methods(task)[name]))
    fit(model, task, settings(), pruner=pruner, seed=1)
    found = task.evaluate(model, task.data.test)["top1"]
    assert pruner.parameters() == [], "the schedule has ended it"
    assert pruner.sparsity >= least - 1e-3
    assert found >= accuracy


def test_without_a_penalty_all_gates_stay_open(task):
    torch.manual_seed(0)
    model = network()
    arguments = {**methods(task)["l0_hard_concrete"], "penalty": 0.0}
    pruner = Pruner(model, make("l0_hard_concrete", **arguments))
    fit(model, task, settings(), pruner=pruner, seed=1)
    assert pruner.sparsity == 0
    assert pruner.parameters() == []


def test_the_mask_rate_follows_the_training_and_its_own_peak(task):
    seen = []
    model = network()
    pruner = Pruner(model, make("movement", mask_learning_rate=0.5, end=1000, every=500))
    watched = pruner.watch

    def watch(optimizer):
        watched(optimizer)
        optimizer.register_step_pre_hook(lambda o, *_: seen.append([g["lr"] for g in o.param_groups]))
        return pruner

    pruner.watch = watch
    fit(model, task, settings(epochs=0.2, learning_rate=0.1), pruner=pruner, seed=1)
    assert all(b == pytest.approx(5 * a) for a, b in seen)
    assert seen[0][0] == 0.1 > seen[-1][0]


@pytest.mark.parametrize("name", ["variational_dropout", "l0_hard_concrete", "movement", "soft_movement"])
def test_an_interrupted_training_ends_with_the_same_bits(name, task):
    arguments = {**methods(task)[name], "steps": 14, "begin": 2, "ramp": 4, "end": 14, "every": 3}
    known = {k: v for k, v in arguments.items() if k in make.__globals__["METHODS"][name].build.__kwdefaults__}
    short = settings(epochs=20 * BATCH / len(task.data.train))

    def begin():
        torch.manual_seed(0)
        model = network()
        return model, Pruner(model, make(name, **known))

    whole, pruner = begin()
    saved = {}

    def keep(step, now):
        if step in (7, 16):  # while it learns, and after its end
            saved[step] = copy.deepcopy([whole.state_dict(), pruner.state_dict(), dc.asdict(now())])

    fit(whole, task, short, pruner=pruner, seed=1, keep=keep)
    for step, (weights, state, progress) in saved.items():
        model, other = begin()
        model.load_state_dict(weights)
        other.load_state_dict(state)
        torch.manual_seed(99)
        fit(model, task, short, pruner=other, seed=1, progress=Progress(**progress))
        same = zip(model.state_dict().values(), whole.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in same), step
        assert other.sparsity == pruner.sparsity


def test_an_experiment_with_a_learned_score(tmp_path, task):
    """The lab trains, cuts, saves and measures a network of gates as it does any other; coupled units are cut."""
    arguments = {"examples": len(task.data.train), "steps": 20, "sparsity": 0.5, "coupled": True}
    start = {"start": "initial", "training": settings(epochs=2)}
    e = Experiment(model="digits_mlp", method="l0_hard_concrete", method_arguments=arguments, **start)
    result = run(e, tmp_path)
    print(result)
