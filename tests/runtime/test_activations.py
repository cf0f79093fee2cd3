"""Activations, in the layer before them and by themselves, against float64, also where they are steep, flat or far out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import error, every_way, kernels, moved_, sparse_, torch_ops
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

FUNCTIONS = {
    "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"), "silu": nn.SiLU(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(),
    "mish": nn.Mish(), "hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid(), "leaky": nn.LeakyReLU(0.2),
    "elu": nn.ELU(1.5),
}  # fmt: skip
CLOSE = 3e-6


class Net(nn.Module):
    """A layer, something added, a function, a clamp."""

    def __init__(self, layer, function, residual, clamp):
        super().__init__()
        self.layer, self.function, self.residual, self.clamp = layer, function, residual, clamp

    def forward(self, x):
        y = self.layer(x)
        y = self.function(y + x) if self.residual else self.function(y)
        return F.hardtanh(y, -0.3, 0.4) if self.clamp else y


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from([0.0, 0.9]), st.booleans(), st.booleans(), st.sampled_from(["conv", "windowed", "linear", "vector"]),
    st.integers(1, 20), st.sampled_from([0.1, 1.0, 30.0]),
)  # fmt: skip
def test_in_the_layer(name, sparsity, residual, clamp, kind, channels, scale):
    torch.manual_seed(0)
    layer = {"conv": nn.Conv2d(channels, channels, 1), "windowed": nn.Conv2d(channels, channels, 3, padding=1)}.get(
        kind, nn.Linear(channels, channels)
    )
    net = Net(sparse_(layer, sparsity), FUNCTIONS[name], residual, clamp)
    x = scale * torch.randn({"linear": (9, channels), "vector": (1, channels)}.get(kind, (1, channels, 7, 5)))
    fast = kernels(net, x)
    assert [op.kind for op in fast.graph.ops] == ["conv"], "one kernel"
    assert error(net, fast, x) < CLOSE
    fast.target = None
    assert error(net, fast, x) < CLOSE, "by torch"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_by_itself(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(3, 1, 1), FUNCTIONS[name])
    x = 20 * torch.randn(2, 5, 9, 11)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert error(net, fast, x) < CLOSE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_far_out(name):
    """From one end of float32 to the other: nothing overflows into what is not a number."""
    points = torch.tensor([0.0, 1e-30, 1e-6, 0.09, 0.11, 1.0, 10.0, 21.0, 87.0, 89.0, 1e4, 1e30])
    x = torch.cat([points, -points])[:, None]
    net = Net(nn.Linear(1, 1), FUNCTIONS[name], False, False)
    nn.init.ones_(net.layer.weight)
    nn.init.zeros_(net.layer.bias)
    with torch.inference_mode():
        wanted = net.double()(x.double())
    net.float()
    found = kernels(net, x)(x).double()
    assert torch.allclose(found, wanted, rtol=3e-6, atol=2e-7)


def test_in_every_way():
    torch.manual_seed(0)
    net = nn.Sequential(sparse_(nn.Conv2d(20, 24, 3, padding=1), 0.6), nn.SiLU())
    x = torch.randn(1, 20, 11, 11)
    ways = every_way(net, x)
    with torch.inference_mode():
        wanted = net.double()(x.double())
    assert {way.dense for way in ways} == {True, False}
    for way, y in ways.items():
        assert float((y - wanted).abs().max() / wanted.abs().max()) < CLOSE, str(way)


def test_a_norm_before_its_layer_takes_the_clamp():
    """A batch norm that follows no layer is one weight a channel, with what comes after it inside."""
    torch.manual_seed(0)
    net = moved_(nn.Sequential(nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5), nn.SiLU()))
    x = torch.randn(2, 6, 12, 14)
    fast = kernels(net, x)
    assert [op.kind for op in fast.graph.ops] == ["max_pool", "conv", "conv"]
    assert error(net, fast, x) < CLOSE


def test_a_value_that_others_read_is_kept_before_the_function():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            y = self.a(x)
            return y * 1.0, F.silu(y)

    torch.manual_seed(0)
    net, x = Both(), torch.randn(1, 3, 4, 4)
    fast = kernels(net, x)
    with torch.inference_mode():
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(fast(x), net(x), strict=True))
