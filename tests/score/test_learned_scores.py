"""What the learned scores compute, against published tables, numeric integrals and draws."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe, RecipeError
from secateur.allocation import Global, Threshold
from secateur.core.errors import DataError
from secateur.core.statistics import Statistics
from secateur.schedule import Cubic, OneShot
from secateur.score import HardConcrete, Movement, Part, SoftMovement, VariationalDropout
from secateur.structure import Layers

VD, GATES = VariationalDropout(examples=1), HardConcrete(examples=1)


def told(learned):
    return Statistics(name="w", learned=learned)


# ---------------------------------------------------------------- variational dropout


@pytest.mark.parametrize(
    ("log_alpha", "nats"),
    [(-8, 4.636), (-4, 2.634), (-2, 1.541), (0, 0.4312), (2, 0.0684), (3, 0.0254), (4, 0.0093), (8, 0.0002)],
)
def test_divergence_table(log_alpha, nats):
    found = float(VD.divergence(torch.tensor(float(log_alpha))))
    assert found == pytest.approx(nats, abs=0.00051 if nats > 1 else 0.00006)


def test_divergence_is_the_integral():
    """D_KL(N(1, α) ‖ log-uniform) = E log|1 + √α ε| − ½ log α + c: it vanishes for α → ∞."""
    # with s = √α it is E log|1/s + ε| − E log|ε|, and E log|ε| = −(γ + log 2)/2 with Euler's γ
    n = 4_000_001
    e = torch.linspace(-12, 12, n, dtype=torch.float64)
    density = torch.exp(-0.5 * e * e) / math.sqrt(2 * math.pi)
    constant = 0.5 * (0.5772156649015329 + math.log(2))
    for log_alpha in range(-8, 9):
        s = math.exp(log_alpha / 2)
        shifted = (1 / s + e).abs().clamp_min(1e-9).log()
        exact = float(torch.trapezoid(density * shifted, e)) + constant
        assert float(VD.divergence(torch.tensor(float(log_alpha)))) == pytest.approx(exact, abs=0.01), log_alpha


def test_score_is_minus_log_alpha_and_threshold_three_is_alpha_twenty():
    weight, log_variance = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([math.log(20.0), math.log(20.2), -10.0])
    score = VD(weight, told(log_variance))
    assert score[:2].tolist() == pytest.approx([-math.log(20), -math.log(20.2)], abs=1e-5)
    assert score[2].item() == pytest.approx(10 + math.log(1e-8), abs=1e-4)
    assert Threshold(at=-3.0).at == -VD.threshold == -3


@given(st.integers(0, 2**16))
def test_the_penalty_is_the_sum_of_the_divergences_and_its_gradient_autograds(seed):
    draw = torch.Generator().manual_seed(seed)
    weight = (torch.randn(40, generator=draw, dtype=torch.float64) * 0.3).requires_grad_()
    learned = (torch.randn(40, generator=draw, dtype=torch.float64) * 4 - 4).requires_grad_()
    cost = VD.cost(Part(learned=learned, weight=weight, t=10**6))
    log_alpha = learned - torch.log(weight.square() + 1e-8)
    whole = VD.kl / VD.examples * VD.divergence(log_alpha.clamp(-8, 8)).sum()
    torch.testing.assert_close(cost, whole)
    torch.testing.assert_close(torch.autograd.grad(cost, (learned, weight)), torch.autograd.grad(whole, (learned, weight)))


def test_divergence_pushes_noise_up_and_is_flat_beyond_the_clip():
    weight = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    learned = nn.Parameter(torch.tensor([-2.0, 9.0, -9.0]))
    VD.cost(Part(learned=learned, weight=weight)).backward()
    assert learned.grad[0] < 0
    assert weight.grad[0] > 0
    assert learned.grad[1:].tolist() == [0, 0]


def test_penalty_has_one_over_n_and_ramps_up():
    weight, learned = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, 0.0])
    whole = float(VD.divergence(learned - torch.log(weight**2 + 1e-8)).sum())
    for examples in (1, 10, 60_000):
        score = VariationalDropout(examples=examples, kl=0.5, begin=100, ramp=200)
        at = {t: score.cost(Part(learned=learned, weight=weight, t=t)) for t in (99, 100, 200, 300, 1000)}
        assert at[99] is None
        assert at[100] is None
        assert float(at[200]) == pytest.approx(0.25 * whole / examples)
        assert float(at[300]) == float(at[1000]) == pytest.approx(0.5 * whole / examples)


# ---------------------------------------------------------------- hard concrete


@pytest.mark.parametrize(("log_alpha", "chance"), [(-1.0, 0.645), (0.0, 0.832), (2.0, 0.973), (-2.398, 0.31)])
def test_chance_of_an_open_gate(log_alpha, chance):
    assert float(GATES.presence(torch.tensor(log_alpha))) == pytest.approx(chance, abs=0.0015)


@pytest.mark.parametrize(
    ("log_alpha", "mean", "final"), [(-2.398, 0.103, 0.0), (0.0, 0.5, 0.5), (2.0, 0.857, 0.957), (-1.0, None, None)]
)
def test_draws_of_gates(log_alpha, mean, final):
    """A million draws: P(z≠0) is the formula's to three digits; E[z] is not the gate of evaluation."""
    learned = torch.full((1_000_000,), log_alpha)
    drawn = GATES.gate(Part(learned=learned, noise=GATES.noise(learned), training=True))
    assert float((drawn != 0).float().mean()) == pytest.approx(float(GATES.presence(learned[0])), abs=0.0015)
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1
    if mean is not None:
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.0015)
        assert float(GATES.gate(Part(learned=learned[:1]))) == pytest.approx(final, abs=0.0005)


def test_gate_of_evaluation_is_exactly_zero_and_one_at_its_edges():
    edge = math.log(11)  # sigmoid(log α) = 1/12
    found = GATES.gate(Part(learned=torch.tensor([-edge - 1e-3, -edge + 1e-3, edge - 1e-3, edge + 1e-3])))
    assert edge == pytest.approx(2.398, abs=1e-3)
    assert found[0] == 0
    assert 0 < found[1] < 1e-3
    assert 1 - 1e-3 < found[2] < 1
    assert found[3] == 1
    score = GATES(torch.zeros(2), told(torch.tensor([-edge - 1e-3, -edge + 1e-3])))
    assert score[0] < 0 < score[1]


def test_noise_stays_inside_and_gradients_finite():
    learned = torch.zeros(200_000, requires_grad=True)
    for u in (torch.zeros_like(learned), torch.ones_like(learned)):
        noise = u.clamp(1e-6, 1 - 1e-6)
        GATES.gate(Part(learned=learned, noise=noise, training=True)).sum().backward()
    drawn = GATES.noise(learned.detach())
    assert float(drawn.min()) >= 1e-6
    assert float(drawn.max()) <= 1 - 1e-6
    assert bool(learned.grad.isfinite().all())


def test_penalty_counts_what_goes_and_adds_the_decay_of_open_gates():
    learned, sizes = torch.tensor([0.0, 2.0]), torch.tensor([10, 3])
    score = HardConcrete(examples=50, penalty=0.1, l2=0.2)
    open_ = score.presence(learned)
    squares = torch.tensor([4.0, 9.0])
    found = score.cost(Part(learned=learned, size=sizes, squares=lambda v: (v * squares).sum()))
    wanted = sum(float(p) * (0.1 * n + 0.5 * 0.2 * s) for p, n, s in zip(open_, [10, 3], [4.0, 9.0], strict=True)) / 50
    assert float(found) == pytest.approx(wanted)
    assert HardConcrete(examples=50, penalty=0.0).cost(Part(learned=learned)) is None


def test_first_gates_are_shut_as_often_as_asked():
    first = HardConcrete(examples=1, drop=0.2).first((2000,), "fc")
    assert float(first.mean()) == pytest.approx(math.log(0.8 / 0.2), abs=1e-3)
    assert float(first.std()) == pytest.approx(0.01, rel=0.1)
    assert torch.equal(first, HardConcrete(examples=1, drop=0.2).first((2000,), "fc"))


def test_numbers_are_brought_back_after_a_step():
    learned = torch.tensor([-9.0, 1.0, 9.0])
    GATES.clamp_(learned)
    assert learned.tolist() == pytest.approx([math.log(1e-2), 1.0, math.log(1e2)])


# ---------------------------------------------------------------- movement


def test_the_gradient_passes_straight_through_the_mask():
    """y = (W ⊙ M) x and L = g·y: ∂L/∂S = g xᵀ ⊙ W for every weight, ∂L/∂W = g xᵀ ⊙ M."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]]))
    learned = nn.Parameter(torch.zeros(2, 3))
    keep = torch.tensor([[True, False, True], [False, True, False]])
    x, g = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.5, -1.0])
    effective = weight * Movement().gate(Part(learned=learned, keep=keep, training=True))
    assert torch.equal(effective, weight * keep)
    (g @ (effective @ x)).backward()
    outer = torch.tensor([[0.5, 1.0, -0.5], [-1.0, -2.0, 1.0]])
    assert torch.equal(weight.grad, outer * keep)
    assert torch.equal(learned.grad, outer * weight.detach())
    # descending on S: where the step moves a weight away from 0 (−g·w > 0) its score rises
    assert torch.equal(-learned.grad > 0, (-outer * weight.detach().sign()) > 0)


def test_soft_movement_ramps_threshold_and_penalty_together():
    soft = SoftMovement(penalty=10.0, threshold=0.1, begin=100, ramp=100)
    learned = torch.tensor([0.0, 2.0])
    mean = float(torch.sigmoid(learned).mean())
    costs = [soft.cost(Part(learned=learned, share=0.5, t=t)) for t in (50, 150, 200)]
    assert costs[0] is None
    assert [float(c) for c in costs[1:]] == pytest.approx([10 * 0.5 * 0.875 * mean, 10 * 0.5 * mean])
    assert [soft.threshold_at(t) for t in (50, 150, 200)] == pytest.approx([0.0, 0.0875, 0.1])
    assert soft(torch.zeros(2), told(learned)).tolist() == pytest.approx([0.5, 0.8808], abs=1e-4)


# ---------------------------------------------------------------- what goes together


def test_refusals():
    with pytest.raises(DataError, match="learned while training"):
        Movement()(torch.ones(2), Statistics(name="w"))
    with pytest.raises(RecipeError, match="structure 'layers'"):
        Recipe(score=HardConcrete(examples=1), structure=Layers())
    with pytest.raises(RecipeError, match="its own threshold rises"):
        Recipe(score=SoftMovement(), schedule=Cubic(end=100))
    with pytest.raises(RecipeError, match="its threshold is fixed"):
        Recipe(allocation=Threshold(), schedule=Cubic(end=100))
    with pytest.raises(TypeError, match="examples"):
        VariationalDropout()
    with pytest.raises(RecipeError, match="examples"):
        Recipe.from_dict({"score": "hard_concrete"})


def test_a_threshold_keeps_what_exceeds_it():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.1, -0.5], [0.2, 0.0]]))
    assert Pruner(model, Recipe(allocation=Threshold(at=0.2))).prune().sparsity == 0.75
    assert model[0].weight.tolist() == [[0.0, -0.5], [0.0, 0.0]]
    assert Recipe(score=VD, allocation=Global(), schedule=OneShot(sparsity=0.9)).at(0.5).schedule.final == 0.5
