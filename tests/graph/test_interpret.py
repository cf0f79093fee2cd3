"""The traced graph runs like the model, with other weights, with narrower norms, and with activations that hide nothing."""

from __future__ import annotations

import copy

import nets
import pytest
import torch
from shrinks import distance, double, half, masked, run
from test_oracle import MODELS
from torch import nn

from secateur.graph.analysis import analyse
from secateur.graph.interpret import interpret


@pytest.mark.parametrize("name", ["bottlenecks", "shufflenet", "vit", "gqa", "multihead-attention", "odd", "tied"])
def test_the_graph_gives_what_the_model_gives(name: str) -> None:
    make, x, _ = MODELS[name]
    model = nets.built(make, x)
    found = interpret(analyse(model, x), model, x)
    assert distance(found, run(copy.deepcopy(model).double(), double(x))) < 1e-12


def test_other_weights_are_used_and_the_models_left_alone() -> None:
    model, x = nets.built(nets.mlp, None), torch.randn(2, 7)
    before = model[0].weight.clone()
    found = interpret(analyse(model, x), model, x, {"0.weight": torch.zeros(12, 7), "0.bias": torch.zeros(12)})
    wanted = model[2:].double()(torch.zeros(2, 12, dtype=torch.float64))
    assert distance(found, [wanted]) < 1e-12
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("name", ["convnext", "vit", "gqa", "u-net", "grouped"])
def test_norms_over_what_is_left(name: str) -> None:
    make, x, _ = MODELS[name]
    model = nets.built(make, x)
    a = analyse(model, x)
    plan = half(a.groups)
    twin = masked(copy.deepcopy(model).double(), a.groups, plan)
    state = {n: t.detach() for n, t in twin.state_dict().items()}
    found = interpret(a, model, x, state, narrow=a.gone(plan))
    assert distance(found, run(twin, double(x))) < 1e-12


def test_one_example_is_joined_by_another() -> None:
    model, x = nets.built(nets.ViT, nets.images(8)), nets.images(8)[:1]
    found = interpret(analyse(model, x), model, x)
    assert found[0].shape == (2, 3)
    assert distance([found[0][:1]], run(copy.deepcopy(model).double(), double(x))) < 1e-12
    assert not torch.allclose(found[0][0], found[0][1])


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU(inplace=True), nn.Hardsigmoid(), nn.Hardswish(), nn.ReLU6(), nn.Hardtanh()])
def test_activations_that_hide_nothing(act: nn.Module) -> None:
    """Different inputs give different values, the value at 0 stays."""
    model, x = nn.Sequential(nn.Identity(), act), torch.tensor([[-50.0, -40.0, 0.0, 40.0, 50.0]])
    found = interpret(analyse(model, x), model, x, injective=True)[0][0]
    assert found.unique().numel() == 5
    assert found[2] == act(torch.zeros(1))
    assert x[0, 0] == -50.0
