"""What a score needs is collected once, from a model that is left as it was, or refused before any work."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from secateur import DataError, ModelError, Pruner, Recipe, prune_
from secateur.allocation import Global, Uniform
from secateur.core import statistics as collected
from secateur.recovery import KeepTraining, Reconstruct
from secateur.schedule import Cubic, OneShot
from secateur.score import OBD, OBS, Grasp, Magnitude, Snip, SynFlow, Taylor
from secateur.structure import Filters
from secateur.testing import SmallAttention, small_batches, small_model
from secateur.units import evidence

SCORES = [Snip(), Taylor(), OBD(), Grasp(), SynFlow(), OBS()]

LACKING = [
    (Taylor(), "score 'taylor' needs the gradient of each example; pass Pruner(model, recipe, data=batches)"),
    (OBD(), "score 'obd' needs the squared gradient of each example; pass Pruner(model, recipe, data=batches)"),
    (Grasp(), "score 'grasp' needs the product of Hessian and gradient; pass Pruner(model, recipe, data=batches)"),
    (OBS(), "score 'obs' needs the inputs of the layers; pass Pruner(model, recipe, data=batches)"),
    (
        SynFlow(),
        "score 'syn_flow' needs an input to run the model on, whose values do not matter; pass "
        "Pruner(model, recipe, example_inputs=...), or data=batches",
    ),
]


@pytest.mark.parametrize(("score", "sentence"), LACKING, ids=lambda x: getattr(x, "name", ""))
def test_what_is_lacking_is_told_before_any_work(score, sentence):
    for drive in (
        lambda: prune_(small_model(), Recipe(score=score)),
        lambda: next(Pruner(small_model(), Recipe(score=score)).rounds()),
        lambda: Pruner(small_model(), Recipe(score=score, schedule=Cubic())).step(),
    ):
        with pytest.raises(DataError) as e:
            drive()
        assert str(e.value) == sentence


def test_a_recovery_that_refits_needs_data_too():
    with pytest.raises(DataError) as e:
        Pruner(small_model(), Recipe(recovery=Reconstruct()))
    assert str(e.value) == "recovery 'reconstruct' needs the inputs of the layers; pass Pruner(model, recipe, data=batches)"


class Awkward(nn.Module):
    """Counts its calls in a buffer, drops out, draws, keeps statistics, ties weights, and has layers without parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5)
        self.middle, self.again, self.nothing = nn.Linear(8, 8), nn.Linear(8, 8), nn.Identity()
        self.again.weight = self.middle.weight
        self.head = nn.Linear(8, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        x = self.drop(self.norm(self.first(x)).relu()) + 1e-9 * torch.randn(())
        return self.head(self.nothing(self.again(self.middle(x).relu())))


@pytest.mark.parametrize("score", SCORES, ids=lambda s: s.name)
def test_the_model_is_left_as_it_was(score):
    torch.manual_seed(0)
    model = Awkward()
    model.norm.running_mean.normal_()
    model.drop.eval()
    model.head.weight.requires_grad_(False)
    model.first.weight.grad = torch.ones_like(model.first.weight)
    data = [(torch.randn(5, 6), torch.randint(3, (5,))) for _ in range(2)]
    before, whole = copy.deepcopy(model.state_dict()), model.calls
    modes, generator = [m.training for m in model.modules()], torch.random.get_rng_state()
    pruner = Pruner(model, Recipe(score=score, prune_classifier=True), data=data)
    pruner.preview([0.5], ["params"])
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert model.calls is whole
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(generator, torch.random.get_rng_state())
    assert [p.requires_grad for p in (model.first.weight, model.head.weight)] == [True, False]
    assert bool((model.first.weight.grad == 1).all())
    assert model.middle.weight.grad is None
    assert not model._forward_hooks
    assert not model.norm._forward_hooks
    assert pruner.prune().sparsity == 0.5


def test_it_is_left_as_it_was_when_the_loss_fails():
    model, batches = small_model(), small_batches(1)

    def broken(model, batch):
        model(batch[0])
        raise KeyError("no such loss")

    for score in (Snip(), Grasp(), OBS()):
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(KeyError):
            prune_(model, Recipe(score=score), data=batches, loss=broken)
        assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
        assert all(m.training for m in model.modules())
        assert not model._forward_hooks


COLLECTORS = {
    "collect_gradients": Snip(), "collect_squared_gradients": OBD(), "collect_hessian_gradients": Grasp(),
    "collect_synaptic_flow": SynFlow(), "collect_input_moments": OBS(),
}  # fmt: skip


@pytest.mark.parametrize("name", COLLECTORS)
@pytest.mark.parametrize("iterations", [1, 3])
def test_it_is_collected_once_an_event(name, iterations, monkeypatch):
    calls, collect = [], getattr(evidence, name)
    monkeypatch.setattr(evidence, name, lambda *a, **k: calls.append(name) or collect(*a, **k))
    recovery = Reconstruct() if name == "collect_input_moments" else KeepTraining()
    recipe = Recipe(score=COLLECTORS[name], recovery=recovery, schedule=OneShot(iterations=iterations))
    pruner = Pruner(small_model(), recipe, data=small_batches(2)).prune()
    assert len(calls) == iterations == pruner.events
    assert pruner.sparsity == 0.5


def test_synaptic_flow_needs_no_values_and_no_labels():
    """From example inputs, positional or by name, or from the first batch: the same scores."""
    batch = small_batches(1)[0]
    ways = [
        {"example_inputs": batch[0]}, {"example_inputs": (torch.zeros(1, 4, 8, 8),)}, {"example_inputs": {"input": batch[0][:1]}},
        {"data": [batch]}, {"data": [batch[0]]}, {"data": [{"input": batch[0]}]},
    ]  # fmt: skip
    found = [prune_(small_model(), Recipe(score=SynFlow()), **way).masks for way in ways]
    for masks in found[1:]:
        assert all(torch.equal(m, found[0][n]) for n, m in masks.items())
    with pytest.raises(DataError, match="data holds no batch"):
        prune_(small_model(), Recipe(score=SynFlow()), data=[])


def test_synaptic_flow_that_is_too_large_is_told():
    deep = nn.Sequential(*[nn.Linear(8, 8, bias=False) for _ in range(120)])
    with torch.no_grad():
        for p in deep.parameters():
            p.fill_(100.0)
    with pytest.raises(ModelError, match="the synaptic flow of this model is too large for a double"):
        prune_(deep, Recipe(score=SynFlow()), example_inputs=torch.ones(1, 8))


class Answer(nn.Module):
    """Gives a mapping."""

    def __init__(self):
        super().__init__()
        self.body = small_model()

    def forward(self, x):
        return {"logits": self.body(x)}


def test_a_temperature_needs_a_tensor_to_divide():
    def loss(model, batch):
        return nn.functional.cross_entropy(model(batch[0])["logits"], batch[1])

    with pytest.raises(ModelError) as e:
        prune_(Answer(), Recipe(score=Grasp()), data=small_batches(1), loss=loss)
    assert str(e.value) == (
        "a temperature divides the model's output, which must be a tensor; this Answer gives a dict; use temperature=1"
    )
    same = prune_(Answer(), Recipe(score=Grasp(temperature=1)), data=small_batches(1), loss=loss)
    assert same.sparsity == 0.5


def test_a_temperature_changes_the_ranking():
    one, other = (prune_(small_model(), Recipe(score=Grasp(temperature=t)), data=small_batches(1)).masks for t in (0.5, 200))
    assert any(not torch.equal(m, other[n]) for n, m in one.items())


def test_a_weight_whose_inputs_nobody_reads_is_told():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.weight = nn.Linear(4, 4), nn.Parameter(torch.randn(4, 4))

        def forward(self, x):
            return self.fc(x) @ self.weight

    with pytest.raises(ModelError) as e:
        prune_(Product(), Recipe(score=OBS(), prune_classifier=True), data=[torch.randn(3, 4)])
    assert str(e.value) == (
        "score 'obs' needs the inputs of every layer it scores, and no linear layer or convolution reads 'weight' when the "
        "model runs; leave it dense with exclude=('weight',)"
    )
    pruner = prune_(Product(), Recipe(score=OBS(), prune_classifier=True, exclude=("weight",)), data=[torch.randn(3, 4)])
    assert set(pruner.masks) == {"fc.weight"}
    refitted = prune_(Product(), Recipe(recovery=Reconstruct(), prune_classifier=True), data=[torch.randn(30, 4)])
    assert refitted.sparsity == 0.5


@pytest.mark.parametrize("score", [s for s in SCORES if s.name != "taylor"], ids=lambda s: s.name)
@pytest.mark.parametrize("allocation", [Global(), Uniform()], ids=repr)
def test_attention_norms_and_convolutions_prune_to_the_exact_count(score, allocation):
    for model in (SmallAttention(), small_model()):
        recipe = Recipe(score=score, allocation=allocation, schedule=OneShot(sparsity=0.75, iterations=2))
        pruner = prune_(model, recipe, data=small_batches(2))
        total = sum(m.numel() for m in pruner.masks.values())
        assert abs(pruner.sparsity * total - 0.75 * total) <= len(pruner.masks) / 2
        assert bool(model(small_batches(1)[0][0]).isfinite().all())


@pytest.mark.parametrize("score", SCORES, ids=lambda s: s.name)
def test_a_layer_that_is_empty_already_does_no_harm(score):
    """All its weights are gone before: nothing flows, and the rest is pruned to the exact count."""
    model = small_model()
    pruner = Pruner(model, Recipe(score=score), data=small_batches(1))
    pruner.masks["3.weight"] = torch.zeros_like(model[3].weight, dtype=torch.bool)
    pruner.apply()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pruning emptied the layer")
        pruner.prune(0.8)
    total = sum(m.numel() for m in pruner.masks.values())
    assert sum(int((~m).sum()) for m in pruner.masks.values()) == round(0.8 * total)
    assert not bool(pruner.masks["3.weight"].any())


def test_reconstruction_of_coupled_channels_refits_what_reads_them():
    """The columns of the next layer make up for the channel that is gone, by least squares."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    x = torch.randn(200, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    hidden, dense = model[:2](x).detach(), model[2].weight.detach().clone()
    recipe = Recipe(structure=Filters(), score=Magnitude(), allocation=Uniform(), recovery=Reconstruct(damping=0))
    pruner = Pruner(model, recipe, example_inputs=x[:1], data=[x]).prune()
    rows, columns = (pruner.masks["2.weight"].any(d) for d in (1, 0))
    assert (int(rows.sum()), int(columns.sum())) == (4, 4)
    wanted = torch.linalg.lstsq(hidden[:, columns], hidden @ dense[rows].T).solution.T
    assert torch.allclose(model[2].weight.detach()[rows][:, columns], wanted, rtol=1e-6, atol=1e-8)


def test_one_shot_data_is_gone_through_twice_where_that_is_needed():
    """GraSP takes two passes; batches that can be had once are kept between them."""
    batches = small_batches(3)
    once = prune_(small_model(), Recipe(score=Grasp()), data=iter(batches)).masks
    again = prune_(small_model(), Recipe(score=Grasp()), data=batches).masks
    assert all(torch.equal(m, again[n]) for n, m in once.items())


def test_left_alone_puts_buffers_back():
    model = small_model()
    model[1].running_mean.fill_(3.0)
    with collected.left_alone(model):
        assert not model.training
        model[1].running_mean.zero_()
    assert bool((model[1].running_mean == 3).all())
    assert model.training
