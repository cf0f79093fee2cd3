"""The smaller model as a graph: what Python holds can go too, and the model itself is left alone."""

from __future__ import annotations

import attentions
import nets
import pytest
import torch
from shrinks import assert_same, distance, double, half, masked, other_batch, run, snapshot
from test_oracle import MODELS
from torch import fx, nn

from secateur.core.errors import ModelError
from secateur.graph.groups import find_groups
from secateur.graph.shrink import shrink_

HELD = ["inception", "multihead-attention", "gpt", "vit", "gqa", "grouped", "u-net", "res2net", "tied"]


@pytest.mark.parametrize("name", HELD)
def test_half_of_everything(name: str) -> None:
    make, x, _ = MODELS[name]
    model, x = nets.built(make, x).double(), double(x)
    groups = find_groups(model, x, as_graph=True)
    plan, before = half(groups), snapshot(model)
    graph = shrink_(model, x, plan, as_graph=True, narrow_norms=True)
    assert isinstance(graph, fx.GraphModule)
    shrunk = graph.meta["shrunk"]
    assert set(shrunk.cut) == set(plan)
    assert_same(before, snapshot(model))
    reference = masked(model, groups, plan)
    for inputs in (x, other_batch(x)):
        assert distance(run(graph, inputs), run(reference, inputs)) < 1e-10
    assert sum(p.numel() for p in graph.parameters()) == shrunk.params[1] < shrunk.params[0]
    assert {n for n, _ in graph.named_parameters(remove_duplicate=False)} <= set(model.state_dict())


@pytest.mark.parametrize("kind", ["Literal", "Global", "Root", "Fused", "Loop"])
def test_sizes_in_the_source(kind: str) -> None:
    x = torch.randn(2, 7, 5, dtype=torch.float64)
    model = nets.built(getattr(attentions, kind), x.float()).double()
    groups = find_groups(model, x, as_graph=True)
    plan = {g.name: [1] for g in groups.prunable if g.units in (attentions.HEADS, attentions.SIZE)}
    graph = shrink_(model, x, plan, as_graph=True)
    assert set(graph.meta["shrunk"].cut) == set(plan)
    reference = masked(model, groups, plan)
    for inputs in (x, other_batch(x)):
        assert distance(run(graph, inputs), run(reference, inputs)) < 1e-10


def test_zeros_and_constants() -> None:
    model, x = nets.built(lambda: nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3)), None), torch.randn(3, 4)
    with torch.no_grad():
        model[0].weight[[2, 5]] = 0
    graph = shrink_(model, x, as_graph=True)
    assert graph.meta["shrunk"].cut == {"0": 2}
    torch.testing.assert_close(graph(x), model(x))
    assert graph.get_parameter("2.bias").dtype == torch.float32


def test_tied_parameters_stay_tied_and_train() -> None:
    model, x = nets.built(nets.Tied, nets.tokens()), nets.tokens()
    graph = shrink_(model, x, half(find_groups(model, x, as_graph=True)), as_graph=True)
    assert graph.get_parameter("head.weight") is graph.get_parameter("embed.weight")
    graph(x).sum().backward()
    assert all(p.grad is not None for p in graph.parameters())


def test_refusals_are_the_same() -> None:
    with pytest.raises(ModelError, match="no unit of '4' can be removed: an output of the model"):
        shrink_(nets.mlp(), torch.randn(2, 7), {"4": [0]}, as_graph=True)
