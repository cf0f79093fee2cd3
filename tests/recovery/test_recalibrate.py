"""Batch-norm statistics taken anew: the same as an independent implementation, twice the same, and nothing else touched."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import update_bn

from secateur import DataError, ModelError
from secateur.recovery import recalibrate_
from secateur.recovery.recalibrate import batch_norms
from secateur.testing import small_batches, small_model


def state_of(model):
    return {n: v.clone() for n, v in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())


@given(sizes=st.lists(st.integers(2, 9), min_size=1, max_size=5), mean=st.floats(-3, 3), scale=st.floats(0.1, 4))
def test_the_statistics_are_those_of_torchs_own_update(sizes, mean, scale):
    g = torch.Generator().manual_seed(len(sizes))
    batches = [(torch.randn(n, 4, 8, 8, generator=g) * scale + mean, torch.zeros(n, dtype=torch.long)) for n in sizes]
    ours, theirs = small_model(), small_model()
    assert recalibrate_(ours, batches) == sum(sizes)
    update_bn(batches, theirs)
    assert same(ours.state_dict(), theirs.state_dict())


def test_the_same_data_twice_gives_the_same_bits_and_no_weight_changes():
    model, batches = small_model(), small_batches(3)
    weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    recalibrate_(model, batches)
    once = state_of(model)
    recalibrate_(model, batches)
    assert same(model.state_dict(), once)
    assert all(torch.equal(p, weights[n]) for n, p in model.named_parameters())
    assert float(model[1].running_mean.abs().max()) > 0
    recalibrate_(model, small_batches(3, seed=1))
    assert not torch.equal(model[1].running_mean, once["1.running_mean"])


def test_what_the_statistics_were_before_does_not_matter():
    one, other, batches = small_model(), small_model(), small_batches(2)
    for _ in range(3):
        other(batches[0][0] * 7 + 1)  # in training mode: its statistics move
    assert not same(one.state_dict(), other.state_dict())
    recalibrate_(one, batches)
    recalibrate_(other, batches)
    assert same(one.state_dict(), other.state_dict())


@given(modes=st.lists(st.booleans(), min_size=12, max_size=12), momenta=st.tuples(*[st.sampled_from([None, 0.1, 0.9])] * 2))
def test_flags_momenta_gradients_and_the_generator_stay_as_they_were(modes, momenta):
    model = small_model()
    modules = list(model.modules())
    assert len(modules) == len(modes)
    for m, mode in zip(modules, modes, strict=True):
        m.training = mode
    for norm, momentum in zip(batch_norms(model), momenta, strict=True):
        norm.momentum = momentum
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[3].weight.requires_grad_(False)
    generator = torch.random.get_rng_state()
    recalibrate_(model, small_batches(2))
    assert [m.training for m in modules] == modes
    assert tuple(norm.momentum for norm in batch_norms(model)) == momenta
    assert bool((model[0].weight.grad == 1).all())
    assert [n for n, p in model.named_parameters() if p.grad is not None] == ["0.weight"]
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["3.weight"]
    assert torch.equal(generator, torch.random.get_rng_state())


def test_dropout_is_off():
    layers = [nn.Linear(4, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2)]
    model = nn.Sequential(*layers).train()
    plain = nn.Sequential(layers[0], nn.BatchNorm1d(8))
    batches = [torch.randn(16, 4) for _ in range(3)]
    assert recalibrate_(model, batches) == recalibrate_(plain, batches) == 48
    assert torch.equal(layers[2].running_mean, plain[1].running_mean)
    assert torch.equal(layers[2].running_var, plain[1].running_var)


def test_examples_are_a_limit_in_whole_batches():
    drawn = []

    def endless():
        for i in itertools.count():
            drawn.append(i)
            yield torch.full((8, 1), float(i)) + torch.arange(8.0)[:, None]

    norm = nn.BatchNorm1d(1)
    assert recalibrate_(norm, endless(), examples=17) == 24
    assert drawn == [0, 1, 2]
    assert norm.running_mean.tolist() == [1 + 3.5]
    assert recalibrate_(norm, [torch.rand(3, 1), torch.rand(3, 1)]) == 6, "all there are, when these are fewer than 1000"
    assert recalibrate_(norm, endless()) == 1000


@pytest.mark.parametrize("broken", ["in the model", "in the data", "no data"])
def test_a_failure_changes_nothing(broken):
    model = small_model()
    recalibrate_(model, small_batches(1))
    before = state_of(model)
    good = small_batches(1)

    def batches():
        if broken != "no data":
            yield good[0]
            if broken == "in the data":
                raise OSError("gone")
            yield (torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long))

    wanted = {"in the model": RuntimeError, "in the data": OSError, "no data": DataError}[broken]
    with pytest.raises(wanted):
        recalibrate_(model, batches())
    assert same(model.state_dict(), before)
    assert model.training
    assert [n.momentum for n in batch_norms(model)] == [0.1, 0.1]


class Branches(nn.Module):
    """A mapping goes in; the auxiliary branch runs in training alone."""

    def __init__(self):
        super().__init__()
        self.norm, self.aux = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

    def forward(self, values, labels=None):
        return self.aux(self.norm(values)) if self.training else self.norm(values)


def test_a_norm_that_is_not_reached_keeps_its_statistics():
    model = Branches()
    model.aux.running_mean.fill_(5)
    model.aux.num_batches_tracked.fill_(7)
    batches = [{"values": torch.randn(4, 3) + 2, "labels": None} for _ in range(2)]
    assert recalibrate_(model, batches) == 8
    assert model.aux.running_mean.tolist() == [5, 5, 5]
    assert int(model.aux.num_batches_tracked) == 7
    wanted = torch.stack([b["values"].mean(0) for b in batches]).mean(0)
    torch.testing.assert_close(model.norm.running_mean, wanted)


def test_batches_of_another_form_are_run_by_the_loss():
    model, batches = nn.BatchNorm1d(3), [{"x": (torch.randn(4, 3), "a name")}]
    recalibrate_(model, batches, loss=lambda model, batch: model(batch["x"][0]).sum())
    torch.testing.assert_close(model.running_mean, batches[0]["x"][0].mean(0))
    with pytest.raises(DataError, match=r"no way is known to run the model on a batch of type str; .* otherwise pass loss="):
        recalibrate_(model, ["a line of text"])


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(2, 2),
        nn.LayerNorm(2),
        nn.BatchNorm1d(2, track_running_stats=False),
        nn.InstanceNorm1d(2, track_running_stats=True),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_model_without_statistics_is_refused(model):
    with pytest.raises(ModelError) as e:
        recalibrate_(model, [torch.randn(4, 2)])
    assert str(e.value) == (
        f"this {type(model).__name__} has no batch norm with running statistics, so there is nothing to recalibrate"
    )


def test_at_least_one_example():
    with pytest.raises(DataError, match="examples must be ≥ 1; got 0"):
        recalibrate_(small_model(), small_batches(1), examples=0)


def test_wrappers_are_looked_through():
    model, alike = small_model(), small_model()
    recalibrate_(nn.DataParallel(model), small_batches(2))
    recalibrate_(alike, small_batches(2))
    assert same(model.state_dict(), alike.state_dict())


def test_it_brings_back_a_network_whose_weights_were_scaled():
    """Scaling the weights before a batch norm changes nothing but its statistics: recalibration undoes it all."""
    model, batches = small_model(), small_batches(4)
    recalibrate_(model, batches)
    x = torch.randn(6, 4, 8, 8)
    wanted = copy.deepcopy(model).eval()(x)
    with torch.no_grad():
        for conv in (model[0], model[3]):
            for p in conv.parameters():
                p.mul_(8)
    off = model.eval()(x)
    assert not torch.allclose(off, wanted, atol=0.01)
    recalibrate_(model, batches)
    torch.testing.assert_close(model.eval()(x), wanted, atol=1e-4, rtol=1e-4)


def test_ranks_end_with_the_average_of_their_statistics(monkeypatch):
    """Two ranks, the other of which found a mean of 10 and a variance of 3 everywhere."""
    alone, model, batches = nn.BatchNorm1d(3), nn.BatchNorm1d(3), [torch.randn(6, 3)]
    recalibrate_(alone, batches)
    others = iter([10.0, 3.0])
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.add_(next(others)))
    recalibrate_(model, batches)
    torch.testing.assert_close(model.running_mean, (alone.running_mean + 10) / 2)
    torch.testing.assert_close(model.running_var, (alone.running_var + 3) / 2)
