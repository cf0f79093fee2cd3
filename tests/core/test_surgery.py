from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from secateur import ModelError, Pruner, Recipe, prune_
from secateur.allocation import PerLayer
from secateur.core.flow import read_flow
from secateur.core.surgery import adjusted_dropout, dead_neurons, inner_optimizer, zero_momentum
from secateur.recovery import Finetune
from secateur.schedule import Iterative, OneShot
from secateur.testing import small_batches, small_model


def mlp(*sizes, dropout=None):
    layers = []
    for i, o in itertools.pairwise(sizes):
        layers += [nn.Linear(i, o), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers[:-1])


def masks_of(model):
    return {n: torch.ones_like(p, dtype=torch.bool) for n, p in model.named_parameters() if p.ndim > 1}


def test_neurons_without_outputs_go_and_the_network_computes_the_same():
    model = mlp(5, 6, 6, 3)
    masks = masks_of(model)
    masks["2.weight"][:, 1] = False  # nothing reads neuron 1 of the first layer
    masks["4.weight"][:, 2] = False  # nor neuron 2 of the second
    x = torch.randn(7, 5)
    with torch.no_grad():
        for n, m in masks.items():
            model.get_parameter(n).masked_fill_(~m, 0)
        before = model(x)
        changed = dead_neurons(model, read_flow(model), masks)
        for n, m in changed.items():
            model.get_parameter(n).masked_fill_(~m, 0)
        after = model(x)
    assert torch.equal(before, after)
    assert not bool(changed["0.weight"][1].any())
    assert not bool(changed["2.weight"][2].any())
    assert changed["0.bias"].tolist() == [True, False, True, True, True, True]
    assert changed["2.bias"].tolist() == [True, True, False, True, True, True]
    assert int((~changed["0.weight"]).sum()) == 5
    assert int((~changed["2.weight"]).sum()) == 6 + 5, "column 1 and the rest of row 2"


def test_neurons_without_inputs_take_their_outputs_along():
    model = mlp(4, 3, 2)
    masks = masks_of(model)
    masks["0.weight"][1] = False
    changed = dead_neurons(model, read_flow(model), masks)
    assert changed["2.weight"].tolist() == [[True, False, True]] * 2
    assert changed["0.bias"].tolist() == [True, False, True]


def test_death_spreads_until_nothing_changes():
    # 2's only reader is neuron 0 of the next layer, which nothing reads
    model = mlp(2, 3, 2, 2)
    masks = masks_of(model)
    masks["4.weight"][:, 0] = False
    masks["2.weight"][1, 2] = False
    changed = dead_neurons(model, read_flow(model), masks)
    assert changed["2.weight"].tolist() == [[False] * 3, [True, True, False]]
    assert changed["0.weight"].tolist() == [[True, True], [True, True], [False, False]]
    assert changed["0.bias"].tolist() == [True, True, False]


def test_channels_and_the_linear_layer_behind_them():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 4, 3))
    masks = masks_of(model)
    masks["3.weight"][:, 4:] = False  # all that channel 1 feeds
    changed = dead_neurons(model, read_flow(model), masks)
    assert changed["0.weight"].flatten().tolist() == [True, False]
    masks["3.weight"][0, 7] = True  # one connection left: it lives
    changed = dead_neurons(model, read_flow(model), masks)
    assert changed["0.weight"].flatten().tolist() == [True, True]


def test_dropping_the_dead_in_a_pruner():
    model = mlp(6, 8, 8, 3)
    recipe = Recipe(allocation=PerLayer(sparsity={"0.*": 0.9, "2.*": 0.9}), schedule=OneShot(sparsity=0.9),
                    recovery=Finetune(drop_dead=True))  # fmt: skip
    pruner = prune_(model, recipe)
    first, second = pruner.masks["0.weight"], pruner.masks["2.weight"]
    assert torch.equal(first.any(1), second.any(0))
    assert torch.equal(pruner.masks["0.bias"], first.any(1))
    assert not bool(model[0].bias[~pruner.masks["0.bias"]].any())
    assert pruner.sparsity <= 1
    assert pruner.sparsity == pytest.approx(float((~first).sum() + (~second).sum()) / (first.numel() + second.numel()))
    again = Pruner(model, recipe)
    again.load_state_dict(pruner.state_dict())
    assert set(again.masks) == {"0.weight", "0.bias", "2.weight"}, "the classifier that reads the second layer is dense"


def test_the_dropout_formula():
    """Han et al. 2015, eq. of §3.2: D_r = D_o·√(C_ir/C_io)."""
    model = mlp(10, 10, 10, 2, dropout=0.5)
    masks = masks_of(model)
    masks["0.weight"].view(-1)[:75] = False  # C_r/C_o = 1/4: D_r = 0.25
    masks["3.weight"].view(-1)[:36] = False  # 0.64: D_r = 0.4
    assert adjusted_dropout(model, read_flow(model), masks, {}) == {"2": 0.25, "5": pytest.approx(0.4)}
    assert adjusted_dropout(model, read_flow(model), masks, {"2": 0.8})["2"] == 0.4


def test_dropout_follows_the_rounds_from_its_first_rate():
    model = mlp(10, 10, 10, 2, dropout=0.5)
    recipe = Recipe(allocation=PerLayer(other=0.75), schedule=Iterative(rounds=2, rate=0.5),
                    recovery=Finetune(adjust_dropout=True))  # fmt: skip
    pruner = Pruner(model, recipe)
    found = [(model[2].p, model[5].p) for _ in pruner.rounds()]
    # of 100 connections 50 and then 25 are left: 0.5·√0.5, 0.5·√0.25
    assert found == [(0.5, 0.5), (0.5 * math.sqrt(0.5),) * 2, (0.25, 0.25)]
    fresh = mlp(10, 10, 10, 2, dropout=0.5)
    Pruner(fresh, recipe).load_state_dict(pruner.state_dict())
    assert (fresh[2].p, fresh[5].p) == (0.25, 0.25)


@pytest.mark.parametrize("keep", [False, True])
def test_moments_of_pruned_weights(keep):
    model = small_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for x, y in small_batches(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    pruner = Pruner(model, Recipe(), optimizer=optimizer, keep_momentum=keep).prune(0.5)
    for name, mask in pruner.masks.items():
        state = optimizer.state[model.get_parameter(name)]
        for moment in ("exp_avg", "exp_avg_sq"):
            assert bool(state[moment][~mask].any()) is keep
            assert bool(state[moment][mask].any())
        assert float(state["step"]) == 2


def test_moments_are_left_alone_where_there_are_none():
    parameter = nn.Parameter(torch.ones(2))
    zero_momentum(torch.optim.SGD([parameter], lr=0.1), parameter, torch.tensor([True, False]))


def test_what_is_no_optimizer():
    with pytest.raises(ModelError, match=r"optimizer must be a torch\.optim\.Optimizer; got int"):
        inner_optimizer(3)
