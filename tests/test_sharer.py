from __future__ import annotations

import copy
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Recipe, Share, Sharer, prune_
from secateur.codec.quantise import kmeans, nearest
from secateur.core.errors import ModelError
from secateur.schedule import OneShot
from secateur.training import Task, Training, fit
from secateur.training.data import load_data
from secateur.training.models import build_model

SHARE = Share(conv=3, linear=2, vectors=2)


def small(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 12), nn.ReLU(), nn.Linear(12, 3))
    prune_(net, Recipe(schedule=OneShot(sparsity=0.6)))
    return net


def batch(seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 1, 8, 8, generator=generator), torch.randint(3, (16,), generator=generator)


def loss_of(model, seed=1):
    x, y = batch(seed)
    return nn.functional.cross_entropy(model(x), y)


def test_the_gradient_of_a_value_is_the_sum_over_its_weights():
    """Against autograd through w = c[I]."""
    model = small()
    sharer = Sharer(model, SHARE)
    names = list(sharer.codebooks)
    places = {n: [(model.get_parameter(n) == v) for v in sharer.codebooks[n]] for n in names}
    books = {n: v.clone().requires_grad_() for n, v in sharer.codebooks.items()}
    x, y = batch()
    made = {n: sum(v * m.float() for v, m in zip(books[n], places[n], strict=True)) for n in names}
    nn.functional.cross_entropy(torch.func.functional_call(model, made, (x,)), y).backward()
    loss_of(model).backward()
    for n in names:
        gradient = model.get_parameter(n).grad
        assert (gradient[model.get_parameter(n) == 0] == 0).all()
        for expected, members in zip(books[n].grad, places[n], strict=True):
            assert torch.allclose(gradient[members], expected, rtol=1e-4, atol=1e-6)
            assert gradient[members].unique().numel() == 1


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2),
    lambda p: torch.optim.Adam(p, lr=0.01), lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
])  # fmt: skip
def test_equal_to_training_the_codebook_itself(make):
    """The same optimizer on c, with w = c[I], for several steps."""
    model = small()
    sharer = Sharer(model, SHARE)
    twin, first = copy.deepcopy(model), {n: v.clone() for n, v in sharer.codebooks.items()}
    where = {n: [(twin.get_parameter(n) == v).float() for v in first[n]] for n in first}
    books = {n: v.clone().requires_grad_() for n, v in first.items()}
    ours, theirs = make(model.parameters()), make(list(books.values()))
    for step in range(6):
        ours.zero_grad()
        theirs.zero_grad()
        loss_of(model, step).backward()
        ours.step()
        sharer.step()
        made = {n: sum(v * m for v, m in zip(books[n], where[n], strict=True)) for n in books}
        x, y = batch(step)
        nn.functional.cross_entropy(torch.func.functional_call(twin, made, (x,)), y).backward()
        theirs.step()
    for n, found in sharer.codebooks.items():
        assert torch.allclose(found, books[n], rtol=1e-3, atol=1e-4)
        assert not torch.allclose(found, first[n], atol=1e-4), "it did learn"


@given(st.integers(0, 100), st.integers(1, 4))
def test_assignments_and_zeros_stay_and_values_are_few(seed, steps):
    model = small(seed)
    sharer = Sharer(model, SHARE)
    zero = {n: p == 0 for n, p in model.named_parameters()}
    groups = {n: p.detach().flatten().unique(return_inverse=True)[1] for n, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    sharer.attach(optimizer)
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        optimizer.step()
    for n, p in model.named_parameters():
        assert (p[zero[n]] == 0).all()
        for g in range(int(groups[n].max()) + 1):
            assert p.detach().flatten()[groups[n] == g].unique().numel() == 1
    assert sharer.t == steps


def test_pruned_weights_of_layers_that_are_not_shared_stay_zero():
    model = small()
    sharer = Sharer(model, Share(conv=3, linear=None, layers={"5*": 2}))
    zero = model[3].weight == 0
    before = model[3].weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(3):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        optimizer.step()
        sharer.step()
    assert torch.equal(model[3].weight == 0, zero)
    assert (model[3].weight[~zero] != before[~zero]).float().mean() > 0.5, "and the others are trained one by one"


def test_the_class_the_keys_and_the_forward_are_untouched():
    model = small()
    kind, keys, forward = type(model), list(model.state_dict()), model.forward
    sharer = Sharer(model, SHARE)
    assert (type(model), list(model.state_dict()), model.forward) == (kind, keys, forward)
    assert sharer.finish() is model
    loss_of(model).backward()
    first = model[0].weight.grad.flatten()
    assert first[model[0].weight.flatten() != 0].unique().numel() > 8, "the plain gradients again"


def test_each_value_is_its_clusters_mean_at_first():
    model = small()
    left = model[3].weight.detach()[model[3].weight != 0].clone()
    sharer = Sharer(model, Share(linear=3, conv=None))
    assert list(sharer.codebooks) == ["3.weight", "5.weight"]
    means = kmeans(left, torch.linspace(float(left.min()), float(left.max()), 8))
    used = means[nearest(left, means).long().unique()]
    assert torch.allclose(sharer.codebooks["3.weight"].double(), used)


def test_accumulated_gradients_add_up():
    models = [small(), small()]
    for m in models:
        Sharer(m, SHARE)
    (loss_of(models[0], 1) + loss_of(models[0], 2)).backward()
    loss_of(models[1], 1).backward()
    loss_of(models[1], 2).backward()
    for a, b in zip(*(m.parameters() for m in models), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_a_saved_state_goes_on_with_the_same_bits():
    def go_on(model, sharer, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            loss_of(model, step).backward()
            optimizer.step()
            sharer.step()

    def make(model):
        return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    model = small()
    sharer, optimizer = Sharer(model, SHARE), make(model)
    go_on(model, sharer, optimizer, range(3))
    buffer = io.BytesIO()
    torch.save([model.state_dict(), sharer.state_dict(), optimizer.state_dict()], buffer)
    go_on(model, sharer, optimizer, range(3, 7))
    buffer.seek(0)
    weights, state, moments = torch.load(buffer, weights_only=True)
    other = small(5)
    second = Sharer(other, SHARE)
    other.load_state_dict(weights)
    second.load_state_dict(state)
    again = make(other)
    again.load_state_dict(moments)
    go_on(other, second, again, range(3, 7))
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))
    assert second.t == 7


def test_refuses_a_state_of_something_else():
    sharer = Sharer(small(), SHARE)
    with pytest.raises(ModelError, match="no state of a sharer"):
        sharer.load_state_dict({})
    with pytest.raises(ModelError, match="of another sharing"):
        Sharer(small(), Share(linear=1)).load_state_dict(sharer.state_dict())
    other = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ModelError, match=r"of another model: it shares 0\.weight"):
        Sharer(other, SHARE).load_state_dict(sharer.state_dict())
    with pytest.raises(ModelError, match="no parameter of this Linear is shared; give"):
        Sharer(nn.Linear(2, 2), Share(linear=None))
    with pytest.raises(ModelError, match=r"must be a torch.nn.Module; got list"):
        Sharer([], SHARE)


def test_in_the_ready_made_training():
    task = Task(load_data("digits"))
    torch.manual_seed(0)
    model = build_model("digits_mlp")
    fit(model, task, Training(epochs=6, batch_size=64))
    prune_(model, Recipe(schedule=OneShot(sparsity=0.5)))
    before = task.evaluate(model, task.data.train)
    sharer = Sharer(model, Share(linear=1))
    shared = task.evaluate(model, task.data.train)
    fit(model, task, Training(epochs=5, batch_size=64, learning_rate=1e-3, weight_decay=0.0), pruner=sharer)
    tuned = task.evaluate(model, task.data.train)
    assert before["loss"] < tuned["loss"] < shared["loss"]
    assert all(p[p != 0].unique().numel() <= 2 for n, p in model.named_parameters() if "weight" in n)


def test_an_empty_and_a_zero_parameter():
    model = nn.Module()
    model.none, model.zero = nn.Parameter(torch.zeros(0, 4)), nn.Parameter(torch.zeros(3, 4))
    sharer = Sharer(model, SHARE)
    (model.zero.sum() + model.none.sum()).backward()
    sharer.step()
    assert (model.zero.grad == 0).all()
    assert (model.zero == 0).all()
    assert sharer.codebooks == {}
