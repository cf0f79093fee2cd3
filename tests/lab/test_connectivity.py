from __future__ import annotations

import copy
import dataclasses as dc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lab_runs import TRAINING, small
from torch import nn

from secateur import Recipe
from secateur.core.errors import ModelError, RecipeError, RunError
from secateur.lab import barrier, instability, run
from secateur.recovery import Finetune
from secateur.schedule import OneShot
from secateur.testing import small_batches, small_model


def loss(model):
    model.eval()
    with torch.no_grad():
        x, y = small_batches(1)[0]
        return float(nn.functional.cross_entropy(model(x), y))


@given(st.integers(0, 100), st.integers(0, 100), st.integers(2, 8))
def test_alike_from_either_end_and_nothing_between_equals(one, other, points):
    a, b = small_model(seed=one), small_model(seed=other)
    there, back = barrier(a, b, loss, points=points), barrier(b, a, loss, points=points)
    assert there.errors == back.errors[::-1]
    assert len(there.errors) == points
    assert barrier(a, copy.deepcopy(a), loss, points=points).height == 0.0
    assert there.height >= -abs(there.errors[0] - there.errors[-1])


def test_a_hill_between_two_valleys():
    """E(w) = (w² − 1)² at w = ±1 is 0 and rises to 1 half-way; a slope has no barrier."""
    a, b = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        a.weight.fill_(1.0)
        b.weight.fill_(-1.0)
    hill = barrier(a, b, lambda m: (float(m.weight.detach()) ** 2 - 1) ** 2, points=5)
    assert hill.errors == (0.0, 0.5625, 1.0, 0.5625, 0.0)
    assert (hill.height, hill.stable) == (1.0, False)
    slope = barrier(a, b, lambda m: 0.01 * float(m.weight.detach()), points=5)
    assert slope.height == pytest.approx(0.01)  # the higher end over the mean
    assert slope.stable


def test_masks_that_both_have_hold_between_them():
    seen, ends = [], []
    for seed in (1, 2):
        model = small_model(seed=seed)
        with torch.no_grad():
            model[0].weight[::2] = 0
        ends.append(model)
    barrier(*ends, lambda m: seen.append(m[0].weight.detach().clone()) or 0.0, points=4)
    assert len(seen) == 4
    assert all(not bool(w[::2].any()) and bool(w[1::2].any()) for w in seen)


def test_batch_norms_are_taken_anew_at_every_point():
    a, b = small_model(seed=1), small_model(seed=2)
    means = []
    barrier(a, b, lambda m: means.append(m[1].running_mean.clone()) or 0.0, points=3, recalibrate=iter(small_batches(2)))
    assert all(bool(m.any()) for m in means)  # zero where they began
    assert not a[1].running_mean.any()  # the ends themselves are left alone


def test_lines_that_cannot_be_drawn():
    with pytest.raises(ModelError, match="a line has two ends at least; got points=1"):
        barrier(small_model(), small_model(), loss, points=1)
    with pytest.raises(ModelError, match="needs equal names and shapes"):
        barrier(nn.Linear(2, 2), nn.Linear(3, 2), loss)


EXPERIMENT = small(training=dc.replace(TRAINING, epochs=4, learning_rate=0.1))


def test_copies_that_part_late_stay_together(tmp_path):
    early, late, last = (instability(EXPERIMENT, tmp_path, at_step=k, points=5) for k in (0, 18, 20))
    assert last.height == 0.0
    assert last.errors[0] == last.errors[-1]
    assert early.height > late.height
    assert late.stable
    assert instability(EXPERIMENT, tmp_path, at_step=20).errors[0] == pytest.approx(1 - run(EXPERIMENT, tmp_path)["test"]["top1"])


def test_a_subnetwork_keeps_its_masks(tmp_path, monkeypatch):
    pruned = dc.replace(EXPERIMENT, recipe=Recipe(schedule=OneShot(sparsity=0.8), recovery=Finetune(epochs=0)))
    with pytest.raises(RunError, match=r"pruner.pt' is missing"):
        instability(pruned, tmp_path, at_step=2)
    run(pruned, tmp_path)
    masks = torch.load(tmp_path / pruned.id / "pruner.pt", weights_only=True)["pruner"]["masks"]
    ends = []
    monkeypatch.setattr("secateur.lab.connectivity.barrier", lambda a, b, *_, **__: ends.extend((a, b)))
    instability(pruned, tmp_path, at_step=2)
    for end in ends:
        assert not any(end.get_parameter(n)[~m].any() for n, m in masks.items())
    assert not torch.equal(ends[0].fc1.weight, ends[1].fc1.weight)


def test_a_step_that_is_not_there(tmp_path):
    with pytest.raises(RecipeError, match="at_step must be ≥ 0 and ≤ 20, the steps of the training; got 21"):
        instability(EXPERIMENT, tmp_path, at_step=21)
