from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import Share
from secateur.codec.quantise import choose_bits, entropy_bytes, sensitivity
from secateur.core.errors import ModelError, RecipeError


class Two(nn.Module):
    """One layer whose values matter a thousand times as much as the other's."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.light = nn.Linear(40, 40, bias=False)
        self.heavy = nn.Linear(40, 40, bias=False)
        for layer in (self.light, self.heavy):
            layer.weight.data.copy_(torch.randn(40, 40, generator=generator))
            layer.weight.data[layer.weight.abs() < 1] = 0


def worth(was: Two):
    kept = {n: p.detach().clone() for n, p in was.named_parameters()}

    def of(model: nn.Module) -> float:
        errors = {n: float((p.detach() - kept[n]).square().mean()) for n, p in model.named_parameters()}
        return -errors["light.weight"] - 1000 * errors["heavy.weight"]

    return of


def test_sensitivity_looks_at_each_layer_alone_and_leaves_the_model():
    model = Two()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    found = sensitivity(model, worth(model), bits=(1, 3, 5))
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    assert [c.bits for c in found["light.weight"]] == [1, 3, 5]
    for row in found.values():
        assert [c.figure for c in row] == sorted(c.figure for c in row)
        assert [c.bytes for c in row] == sorted(c.bytes for c in row)
    assert found["heavy.weight"][0].figure == pytest.approx(1000 * found["light.weight"][0].figure, rel=0.4)
    alone = Share(linear=3).quantise("light.weight", model.light.weight)
    assert found["light.weight"][1].bytes == entropy_bytes(alone)


@pytest.mark.parametrize("budget", [550, 700, 900, 1200])
def test_a_budget_is_met_and_the_layer_that_matters_gets_more(budget):
    model = Two()
    share = choose_bits(model, worth(model), budget=budget)
    bits = dict(share.layers)
    assert bits["heavy.weight"] >= bits["light.weight"]
    size = sum(entropy_bytes(share.quantise(n, p)) for n, p in model.named_parameters())
    assert size <= budget
    more = max(bits, key=lambda n: -bits[n])
    richer = {**bits, more: bits[more] + 1 if bits[more] < 6 else 8}
    if richer[more] <= 8 and budget < 1200:
        bigger = sum(entropy_bytes(Share(layers=richer).quantise(n, p)) for n, p in model.named_parameters())
        assert bigger > size


@pytest.mark.parametrize("floor", [-1.0, -10.0, -40.0])
def test_a_floor_holds_with_all_layers_shared(floor):
    model = Two()
    share = choose_bits(model, worth(model), floor=floor)
    shared = Two()
    for name, p in shared.named_parameters():
        p.data.copy_(share.quantise(name, model.get_parameter(name)))
    assert worth(model)(shared) >= floor
    fewest = choose_bits(model, worth(model), floor=-1e9)
    assert set(dict(fewest.layers).values()) == {1}


def test_what_is_out_of_reach_and_what_is_unclear():
    model = Two()
    with pytest.raises(ModelError, match=r"1 bits everywhere take about .* bytes, and the budget is 10; prune more"):
        choose_bits(model, worth(model), budget=10)
    with pytest.raises(ModelError, match="8 bits everywhere the model is worth less than 1; lower the floor"):
        choose_bits(model, worth(model), floor=1.0)
    for both in ({}, {"budget": 10.0, "floor": 0.0}):
        with pytest.raises(RecipeError, match="a budget of bytes or a floor"):
            choose_bits(model, worth(model), **both)
    with pytest.raises(ModelError, match="no parameter of this Two is shared"):
        sensitivity(model, worth(model), share=Share(linear=None))


def test_the_model_is_as_it_was_when_the_evaluation_fails():
    model = Two()
    before = model.light.weight.detach().clone()

    def fails(_: nn.Module) -> float:
        raise KeyError

    with pytest.raises(KeyError):
        sensitivity(model, fails)
    assert torch.equal(model.light.weight, before)
