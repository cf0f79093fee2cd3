from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from secateur.graph import zeros
from secateur.graph.groups import find_groups


class InPlace(nn.Module):
    """Activations that write over their input, beside one that leaves a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(torch.relu_(x * 1.0).mul_(0.0) + torch.sigmoid(x))


def test_operations_in_place_leave_the_probe_alone() -> None:
    before = zeros._PROBE.clone()
    assert find_groups(InPlace(), torch.zeros(2, 3))["a"].leaks
    assert torch.equal(zeros._PROBE, before)


class PerHead(nn.Module):
    """A layer on every head: a head of zeros comes out as its bias."""

    def __init__(self, bias: bool, kind: str) -> None:
        super().__init__()
        layers = {"linear": nn.Linear(4, 4, bias=bias), "norm": nn.LayerNorm(4, bias=bias)}
        self.a, self.layer, self.b = nn.Linear(3, 8), layers[kind], nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.layer(self.a(x).unflatten(-1, (2, 4))).flatten(-2))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["linear", "norm"])
def test_a_head_of_zeros_comes_out_as_the_bias(bias: bool, kind: str) -> None:
    heads = next(g for g in find_groups(PerHead(bias, kind), torch.zeros(2, 3)).of("a.weight", 0) if g.units == 2)
    assert bool(heads.leaks) == bias


class Sized(nn.Module):
    """A size that depends on the values of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.a(x))
        picked = hidden[x.sum(-1).nonzero().squeeze(-1)]
        return self.b(picked.view(-1, 2, 4).flatten(1))


def test_a_view_of_a_size_that_depends_on_data_holds_its_channels() -> None:
    groups = find_groups(Sized(), torch.randn(4, 3))
    assert not groups.prunable
    assert "aten.view" in groups.of("a.weight", 0)[0].reason
