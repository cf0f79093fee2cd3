"""Laws of the scores that look at the loss: SNIP is a finite difference, GraSP a quadratic's A²θ, synaptic flow is conserved."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from secateur import Pruner, Recipe
from secateur.allocation import Global
from secateur.core.curvature import collect_hessian_gradients
from secateur.core.statistics import Statistics, collect_gradients, collect_squared_gradients, default_loss
from secateur.core.synaptic_flow import collect_synaptic_flow
from secateur.schedule import OneShot
from secateur.score import OBD, Grasp, Magnitude, Snip, SynFlow


class Net(nn.Module):
    """A convolution, its batch norm, and one matrix that two layers share; nothing here has a kink."""

    def __init__(self, channels, width, groups):
        super().__init__()
        self.conv = nn.Conv2d(2, channels * groups, 3, padding=1, groups=groups)
        self.norm = nn.BatchNorm2d(channels * groups)
        self.embed = nn.Linear(channels * groups, width)
        self.tied = nn.Linear(width, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.norm(self.conv(x)).tanh().mean((2, 3))
        x = self.embed(x).tanh()
        x = self.tied(self.tied(x).tanh()) + F.linear(x, self.tied.weight.t())
        return self.head(x)


@st.composite
def nets(draw):
    torch.manual_seed(draw(st.integers(0, 2**20)))
    net = Net(draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.sampled_from([1, 2]))).double()
    batches = [(torch.randn(5, 2, 4, 4).double(), torch.randint(3, (5,))) for _ in range(draw(st.integers(1, 3)))]
    return net, batches


WEIGHTS = ["conv.weight", "embed.weight", "tied.weight", "head.weight"]


def mean_loss(model, batches):
    model.eval()
    with torch.no_grad():
        return sum(float(default_loss(model, b)) for b in batches) / len(batches)


@settings(max_examples=15)
@given(nets(), st.data())
def test_snip_is_the_finite_difference_of_the_loss_in_a_gate(made, data):
    model, batches = made
    gradients = collect_gradients(model, WEIGHTS, batches, None)
    for name in WEIGHTS:
        weight = model.get_parameter(name).data.view(-1)
        scores = Snip()(model.get_parameter(name).detach(), Statistics(name=name, gradient=gradients[name])).flatten()
        i, h = data.draw(st.integers(0, len(weight) - 1)), 1e-5
        value, around = float(weight[i]), []
        for gate in (1 + h, 1 - h):
            weight[i] = gate * value
            around.append(mean_loss(model, batches))
        weight[i] = value
        assert float(scores[i]) == pytest.approx(abs(around[0] - around[1]) / (2 * h), rel=1e-3, abs=1e-9)


class Quadratic(nn.Module):
    """θ, whose loss is ½ θᵀAθ."""

    def __init__(self, size):
        super().__init__()
        self.theta = nn.Parameter(torch.randn(1, size, dtype=torch.float64))

    def forward(self, a):
        return 0.5 * (self.theta @ a @ self.theta.t()).sum()


@given(st.integers(1, 7), st.integers(0, 2**20), st.integers(1, 3), st.booleans())
def test_grasp_on_a_quadratic(size, seed, batches, symmetric):
    """−S = θ ⊙ A²θ; with several batches A is their mean."""
    torch.manual_seed(seed)
    model = Quadratic(size)
    data = [torch.randn(size, size, dtype=torch.float64) for _ in range(batches)]
    if symmetric:
        data = [a + a.t() for a in data]
    mean = sum((a + a.t()) / 2 for a in data) / batches
    found = collect_hessian_gradients(model, ["theta"], data, lambda m, batch: m(batch))["theta"]
    theta = model.theta.detach()
    wanted = theta * (theta @ mean @ mean)
    score = Grasp()(theta, Statistics(name="theta", hessian_gradient=found))
    assert torch.allclose(score, wanted, rtol=1e-9, atol=1e-9)


def test_grasp_prunes_what_the_paper_prunes():
    """The largest −θ ⊙ Hg go: those without which ‖g‖² = θᵀA²θ is largest. A = diag(1, 3, ½): θ ⊙ A²θ = 4, 9, 16."""
    model = nn.Linear(3, 1, bias=False).double()
    model.weight.data = torch.tensor([[2.0, 1.0, 8.0]], dtype=torch.float64)
    a = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    pruner = Pruner(
        model, Recipe(score=Grasp(temperature=1), schedule=OneShot(sparsity=1 / 3)), data=[a],
        loss=lambda m, a: (m.weight * a * m.weight).sum() / 2,
    )  # fmt: skip
    assert pruner.prune().masks["weight"].tolist() == [[False, True, True]]

    def flow_without(i):
        theta = torch.tensor([2.0, 1.0, 8.0])
        theta[i] = 0
        return float((a * theta).square().sum())

    assert [flow_without(i) for i in range(3)] == [25.0, 20.0, 13.0]


@settings(max_examples=10)
@given(nets(), st.floats(0.5, 50))
def test_the_hessian_times_the_gradient_is_the_gradient_of_half_its_square(made, temperature):
    """(‖g(θ + hv)‖² − ‖g(θ − hv)‖²) / 4h = ⟨Hg, v⟩, with batch norms in training mode and outputs divided by T."""
    model, batches = made

    def loss(m, batch):
        return F.cross_entropy(m(batch[0]), batch[1])

    def square():
        model.train()
        value = sum(F.cross_entropy(model(x) / temperature, y) for x, y in batches) / len(batches)
        return float(sum(g.square().sum() for g in torch.autograd.grad(value, [model.get_parameter(n) for n in WEIGHTS])))

    found = collect_hessian_gradients(model, WEIGHTS, batches, loss, temperature=temperature)
    directions = {n: torch.randn_like(model.get_parameter(n)) for n in WEIGHTS}
    wanted = sum(float((found[n] * v).sum()) for n, v in directions.items())
    around = []
    for h in (1e-5, -1e-5):
        with torch.no_grad():
            for n, v in directions.items():
                model.get_parameter(n).add_(h * v)
        around.append(square())
        with torch.no_grad():
            for n, v in directions.items():
                model.get_parameter(n).sub_(h * v)
    assert wanted == pytest.approx((around[0] - around[1]) / 4e-5, rel=1e-3, abs=1e-8 / temperature**2)


@settings(max_examples=10)
@given(nets())
def test_obd_takes_the_mean_of_squares_and_not_the_square_of_the_mean(made):
    model, batches = made
    found = collect_squared_gradients(model, WEIGHTS, batches, None)
    model.eval()
    each = [
        torch.autograd.grad(F.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), model.tied.weight)[0]
        for x, y in batches
        for i in range(len(x))
    ]
    wanted = sum(g.square() for g in each) / len(each)
    assert torch.allclose(found["tied.weight"], wanted, rtol=1e-9)
    score = OBD()(model.tied.weight.detach(), Statistics(name="w", squared_gradient=found["tied.weight"]))
    assert torch.allclose(score, wanted * model.tied.weight.detach() ** 2 / 2)


# ---------------------------------------------------------------- synaptic flow


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=6), st.integers(0, 2**20), st.booleans(), st.booleans())
def test_what_flows_into_a_hidden_neuron_flows_out(widths, seed, bias, norms):
    torch.manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b, bias=bias), *([nn.BatchNorm1d(b)] if norms else []), nn.ReLU()]
    model = nn.Sequential(*layers)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm1d):  # as trained
            for p in (m.weight, m.bias, m.running_mean):
                nn.init.normal_(p)
            m.running_var.uniform_(0.5, 2)
    names = [n for n, p in model.named_parameters() if p.ndim == 2]
    flow = collect_synaptic_flow(model, names, torch.randn(3, widths[0]))
    scores = [SynFlow()(model.get_parameter(n).detach(), Statistics(name=n, synaptic_flow=flow[n])) for n in names]
    for into, out in itertools.pairwise(scores):
        assert torch.allclose(into.sum(1), out.sum(0), rtol=1e-6, atol=0)
    assert all(float(s.sum()) == pytest.approx(float(scores[0].sum()), rel=1e-6) for s in scores)
    assert all(bool((s >= 0).all()) for s in scores)


@pytest.mark.parametrize("groups", [1, 2])
def test_flow_is_conserved_through_convolutions_pooling_and_norms(groups):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=groups), nn.GroupNorm(3, 6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5), nn.LayerNorm(5),
        nn.ReLU(), nn.Linear(5, 3),
    )  # fmt: skip
    names = ["0.weight", "4.weight", "8.weight", "11.weight"]
    flow = collect_synaptic_flow(model, names, torch.zeros(1, 2, 8, 8))
    first, second, third, last = (flow[n] * model.get_parameter(n).detach().abs() for n in names)
    assert torch.allclose(first.sum((1, 2, 3)), second.view(groups, -1, 4 // groups, 9).sum((1, 3)).flatten(), rtol=1e-6)
    assert torch.allclose(second.sum((1, 2, 3)), third.view(5, 6, 4).sum((0, 2)), rtol=1e-6)
    assert torch.allclose(third.sum(1), last.sum(0), rtol=1e-6)


def test_flow_by_hand():
    """R = 1ᵀ|W₂||W₁|1 with W₁ = [[1, −2], [3, 0]] and W₂ = [[−1, 4]]: through the neurons 3 and 12, 15 in all."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    model[2].weight.data = torch.tensor([[-1.0, 4.0]])
    flow = collect_synaptic_flow(model, ["0.weight", "2.weight"], torch.randn(1, 2))
    scores = {n: (f * model.get_parameter(n).detach().abs()).tolist() for n, f in flow.items()}
    assert scores == {"0.weight": [[1.0, 2.0], [12.0, 0.0]], "2.weight": [[3.0, 12.0]]}


def wide(seed):
    """Two layers of 40 000 weights between one of 1 200 and one of 800: each weight of theirs matters little."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 200, bias=False), nn.ReLU(), nn.Linear(200, 200, bias=False), nn.ReLU(),
        nn.Linear(200, 200, bias=False), nn.ReLU(), nn.Linear(200, 4, bias=False),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:pruning emptied the layer")
@pytest.mark.parametrize("keep", [4, 12, 40])
def test_synaptic_flow_in_steps_empties_no_layer_where_other_scores_do(keep):
    """Down to one weight a layer, without an allocation that prevents it."""
    batch, left = (torch.randn(20, 6), torch.randint(4, (20,))), {}
    for score, iterations in ((SynFlow(), 100), (Snip(), 1), (Magnitude(), 1)):
        model = wide(seed=1)
        schedule = OneShot(sparsity=1 - keep / 82_000, iterations=iterations)
        recipe = Recipe(score=score, allocation=Global(floor=0), prune_classifier=True, schedule=schedule)
        pruner = Pruner(model, recipe, data=[batch]).prune()
        left[score.name] = [int(m.sum()) for m in pruner.masks.values()]
        assert sum(left[score.name]) == keep
        flow = collect_synaptic_flow(model, ["0.weight"], torch.ones(1, 6))["0.weight"]
        assert bool((flow * model[0].weight.detach()).any()) == (score == SynFlow()), "whether anything flows from end to end"
    assert min(left["syn_flow"]) >= 1
    assert min(left["snip"]) == 0
    assert min(left["magnitude"]) == 0


@settings(max_examples=20)
@given(st.integers(1, 30), st.floats(0.05, 0.98), st.sampled_from([Snip(), SynFlow(), Magnitude(), Grasp()]))
def test_iterations_nest_and_end_at_the_exact_count(iterations, sparsity, score):
    total = 6 * 12 + 12 * 12 + 12 * 3
    assume(total - round(sparsity * total) >= 3)
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    batch = (torch.randn(8, 6), torch.randint(3, (8,)))
    recipe = Recipe(score=score, prune_classifier=True, schedule=OneShot(sparsity=sparsity, iterations=iterations))
    pruner = Pruner(model, recipe, data=[batch])
    masks = []
    remove = pruner._units.remove

    def watched(keep):
        remove(keep)
        masks.append({n: m.clone() for n, m in pruner.masks.items()})

    pruner._units.remove = watched
    pruner.prune()
    assert len(masks) == iterations == pruner.events
    for k, mask in enumerate(masks, 1):
        wanted = round((1 - (1 - sparsity) ** (k / iterations)) * total) if k < iterations else round(sparsity * total)
        assert abs(sum(int((~m).sum()) for m in mask.values()) - wanted) <= (k < iterations)
    for before, after in itertools.pairwise(masks):
        assert all(not bool((after[n] & ~m).any()) for n, m in before.items())
    assert math.isclose(pruner.sparsity, round(sparsity * total) / total)
    assert all(not bool(model.get_parameter(n)[~m].any()) for n, m in pruner.masks.items())
