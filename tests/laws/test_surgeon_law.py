"""Optimal Brain Surgeon, layer by layer: its scores and updates equal refits by brute force."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe
from secateur.allocation import Uniform
from secateur.core.input_moment import collect_input_moments
from secateur.core.statistics import Statistics
from secateur.recovery import Reconstruct
from secateur.schedule import OneShot
from secateur.score import OBS, Magnitude
from secateur.structure import Filters

EXACT = {"score": OBS(damping=0), "recovery": Reconstruct(damping=0)}


def refit(x, y, stay):
    """Least squares on some columns, and its squared error."""
    w = torch.zeros(x.shape[1], dtype=torch.float64)
    if stay:
        w[stay] = torch.linalg.lstsq(x[:, stay], y).solution
    return w, float((x @ w - y).square().sum())


@st.composite
def regressions(draw):
    torch.manual_seed(draw(st.integers(0, 2**20)))
    d = draw(st.integers(2, 6))
    x = torch.randn(4 * d + 3, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64)
    return x, torch.randn(len(x), dtype=torch.float64)


@given(regressions())
def test_deleting_a_weight_of_a_regression_equals_the_refit_without_it(made):
    """Row 16: ŵ = refit, ΔL = w_q² / (2[H⁻¹]_qq) with H = 2XᵀX."""
    x, y = made
    d = x.shape[1]
    model = nn.Linear(d, 1, bias=False).double()
    w, best = refit(x, y, list(range(d)))
    model.weight.data.copy_(w)
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=1 / d), **EXACT), data=[x]).prune()
    ((_, q),) = (~pruner.masks["weight"]).nonzero().tolist()
    inverse = torch.linalg.inv(2 * x.T @ x)
    losses = [float(w[i] ** 2 / (2 * inverse[i, i])) for i in range(d)]
    assert losses[q] == pytest.approx(min(losses), rel=1e-6)
    wanted, error = refit(x, y, [i for i in range(d) if i != q])
    assert torch.allclose(model.weight[0].detach(), wanted, rtol=1e-6, atol=1e-6 * float(wanted.abs().max()))
    assert error - best == pytest.approx(losses[q], rel=1e-5, abs=1e-9 * best)
    joint = w - w[q] / inverse[q, q] * inverse[:, q]
    assert torch.allclose(model.weight[0].detach(), joint, rtol=1e-6, atol=1e-6 * float(joint.abs().max()))


@given(regressions(), st.integers(1, 3))
def test_scores_are_the_greedy_refits_of_each_row(made, outputs):
    """At every turn the weight goes whose loss costs least after a full refit of the row; scores never fall within a row."""
    x, _ = made
    d = x.shape[1]
    rows = torch.randn(outputs, d, dtype=torch.float64)
    found = OBS(damping=0)(rows, Statistics(name="w", input_moment=(x.T @ x)[None]))
    for w, scores in zip(rows, found, strict=True):
        stay, before, level = list(range(d)), 0.0, 0.0
        for q in scores.argsort().tolist():
            errors = {i: refit(x, x @ w, [j for j in stay if j != i])[1] for i in stay}
            assert errors[q] == pytest.approx(min(errors.values()), rel=1e-4, abs=1e-9)
            level = max(level, errors[q] - before)
            assert float(scores[q]) == pytest.approx(level, rel=1e-4, abs=1e-8)
            stay.remove(q)
            before = errors[q]


@settings(max_examples=20)
@given(regressions(), st.floats(0.2, 0.8))
def test_no_other_values_of_the_survivors_do_better_and_never_worse_than_magnitude(made, sparsity):
    x, _ = made
    dense = torch.randn(3, x.shape[1], dtype=torch.float64)

    def error(score, recovery):
        model = nn.Linear(*dense.shape[::-1], bias=False).double()
        model.weight.data.copy_(dense)
        recipe = Recipe(score=score, recovery=recovery, allocation=Uniform(), schedule=OneShot(sparsity=sparsity))
        mask = Pruner(model, recipe, data=[x]).prune().masks["weight"]
        for w, kept, new in zip(dense, mask, model.weight.detach(), strict=True):
            if isinstance(recovery, Reconstruct):
                assert torch.allclose(new, refit(x, x @ w, kept.nonzero().flatten().tolist())[0], rtol=1e-5, atol=1e-6)
        assert not bool(model.weight[~mask].any())
        return float((x @ (model.weight.detach() - dense).T).square().sum())

    plain, masked = error(Magnitude(), Recipe().recovery), error(Magnitude(), Reconstruct(damping=0))
    assert masked <= plain * (1 + 1e-9) + 1e-12


def test_the_surgeon_beats_magnitude_on_correlated_inputs():
    torch.manual_seed(2)
    x = torch.randn(200, 12, dtype=torch.float64) @ torch.randn(12, 12, dtype=torch.float64)
    dense = torch.randn(8, 12, dtype=torch.float64)
    errors = {}
    for score, recovery in itertools.product((OBS(), Magnitude()), (Reconstruct(), Recipe().recovery)):
        model = nn.Linear(12, 8, bias=False).double()
        model.weight.data.copy_(dense)
        Pruner(model, Recipe(score=score, recovery=recovery, schedule=OneShot(sparsity=0.5)), data=[x]).prune()
        errors[score.name, recovery.name] = float((x @ (model.weight.detach() - dense).T).square().sum())
    surgeon = errors["obs", "reconstruct"]
    assert surgeon < 0.5 * errors["magnitude", "reconstruct"]
    assert errors["magnitude", "reconstruct"] < 0.5 * errors["magnitude", "keep_training"]


def brute(w, x, alive):
    """The greedy trace with the inverse of what is left inverted anew at each turn."""
    w, trace, level = w.clone(), torch.zeros_like(w), 0.0
    left = [i for i in range(len(w)) if alive[i]]
    while left:
        inverse = torch.linalg.inv(2 * (x.T @ x)[left][:, left])
        costs = w[left] ** 2 / (2 * inverse.diagonal())
        p = int(costs.argmin())
        level = max(level, float(costs[p]))
        trace[left[p]] = level
        w[left] -= w[left[p]] / inverse[p, p] * inverse[:, p]
        del left[p]
    return trace


@given(st.integers(1, 30), st.integers(1, 5), st.floats(0, 0.9), st.integers(0, 2**20))
def test_pruned_weights_and_dead_inputs_are_no_part_of_it(d, rows, gone, seed):
    """The batched trace, which halves its matrices as it goes, equals the plain one on what is left of each row."""
    torch.manual_seed(seed)
    x = torch.randn(2 * d + 5, d, dtype=torch.float64)
    dead = torch.rand(d) < 0.2
    x[:, dead] = 0
    weights = torch.randn(rows, d, dtype=torch.float64) * (torch.rand(rows, d) >= gone)
    found = OBS(damping=0)(weights, Statistics(name="w", input_moment=(x.T @ x)[None]))
    for w, scores in zip(weights, found, strict=True):
        assert torch.allclose(scores, brute(w, x, (w != 0) & ~dead), rtol=1e-6, atol=1e-10)
        counted = scores[(w != 0) & ~dead]
        assert len(counted.unique()) == len(counted), "every turn has a score of its own"


def test_inputs_that_say_the_same_are_damped():
    """Two columns alike: H is singular, one of the two weights costs next to nothing, and the other takes over its part."""
    torch.manual_seed(0)
    column = torch.randn(50, 1, dtype=torch.float64)
    x = torch.cat([column, column, torch.randn(50, 1, dtype=torch.float64)], 1)
    for damping in (0.0, 1e-4):
        model = nn.Linear(3, 1, bias=False).double()
        model.weight.data = torch.tensor([[1.0, 2.0, 0.5]], dtype=torch.float64)
        recipe = Recipe(score=OBS(damping=damping), recovery=Reconstruct(damping=damping), schedule=OneShot(sparsity=1 / 3))
        Pruner(model, recipe, data=[x]).prune()
        assert model.weight[0].tolist() == pytest.approx([0.0, 3.0, 0.5], abs=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_the_matrix_of_its_patches(groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, 3, padding=1, stride=2, groups=groups).double()
    x, dense = torch.randn(7, 4, 9, 9, dtype=torch.float64), conv.weight.detach().clone()
    patches = nn.functional.unfold(x, 3, padding=1, stride=2).view(7, groups, -1, 25).permute(1, 0, 3, 2).flatten(1, 2)
    moment = collect_input_moments(conv, ["weight"], [x], None)["weight"]
    assert torch.allclose(moment, patches.transpose(1, 2) @ patches)
    Pruner(conv, Recipe(schedule=OneShot(sparsity=0.6), allocation=Uniform(), **EXACT), data=[x]).prune()
    for g in range(groups):
        for row in range(g * 6 // groups, (g + 1) * 6 // groups):
            stay = (conv.weight[row].flatten() != 0).nonzero().flatten().tolist()
            wanted = refit(patches[g], patches[g] @ dense[row].flatten(), stay)[0]
            assert torch.allclose(conv.weight[row].flatten().detach(), wanted, rtol=1e-6, atol=1e-8)
    assert int((conv.weight == 0).sum()) == round(0.6 * conv.weight.numel())


def test_rows_that_lose_nothing_keep_their_values_to_the_bit():
    torch.manual_seed(0)
    model = nn.Linear(10, 6)
    before = model.weight.detach().clone()
    Pruner(model, Recipe(structure=Filters(), recovery=Reconstruct()), data=[torch.randn(40, 10)]).prune()
    kept = model.weight.detach().any(1)
    assert int(kept.sum()) == 3
    assert torch.equal(model.weight[kept], before[kept])


@pytest.mark.parametrize("iterations", [1, 3])
def test_refitting_after_each_pass_keeps_counts_exact(iterations):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    plain, x = copy.deepcopy(model), torch.randn(100, 8) @ torch.randn(8, 8)
    wanted, schedule = model(x).detach(), OneShot(sparsity=0.5, iterations=iterations)
    recipe = Recipe(score=OBS(), recovery=Reconstruct(), allocation=Uniform(), schedule=schedule)
    pruner = Pruner(model, recipe, data=[x]).prune()
    assert pruner.events == iterations
    assert {n: int(m.sum()) for n, m in pruner.masks.items()} == {"0.weight": 64, "2.weight": 128}
    Pruner(plain, Recipe(allocation=Uniform(), schedule=OneShot(sparsity=0.5))).prune()
    error, worse = (float((m(x).detach() - wanted).square().mean()) for m in (model, plain))
    assert error < 0.5 * worse
