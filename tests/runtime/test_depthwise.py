"""Depthwise layers against float64: windows, strides, dilations, activations, odd sizes, weights that are zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import error, every_way, kernels, moved_, sparse_, torch_ops
from torch import nn

pytest.importorskip("llvmlite")

CLOSE = 3e-6


@st.composite
def cases(draw):
    channels, kernel = draw(st.integers(1, 20)), (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    stride, dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)])), draw(st.sampled_from([1, 1, 2]))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [draw(st.integers(dilation * (k - 1) + 1, k + 20)) for k in kernel if k + 20 > dilation * (k - 1)]
    layer = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=draw(st.booleans()))
    after = draw(st.sampled_from([nn.Identity(), nn.ReLU6(), nn.SiLU(), nn.Hardswish()]))
    return nn.Sequential(layer, after), torch.randn(draw(st.integers(1, 2)), channels, *size)


@settings(max_examples=40, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.2, 0.9]))
def test_layers(case, sparsity):
    torch.manual_seed(0)
    net, x = case
    sparse_(net, sparsity)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert error(net, fast, x) < CLOSE


def test_dense_ones_have_a_kernel_and_the_tuner_may_take_the_sparse_one():
    torch.manual_seed(0)
    net = nn.Sequential(sparse_(nn.Conv2d(9, 9, 3, padding=1, groups=9), 0.5), nn.ReLU())
    x = torch.randn(1, 9, 13, 12)
    fast = kernels(net, x)
    fast.measure((x,), {})
    assert "depthwise" in str(fast)
    with torch.inference_mode():
        wanted = net.double()(x.double())
    net.float()
    ways = every_way(net, x)
    assert {way.dense for way in ways} == {True, False}
    for way, y in ways.items():
        assert float((y - wanted).abs().max() / wanted.abs().max()) < CLOSE, str(way)


class Gated(nn.Module):
    """A depthwise layer whose sum starts from something else: that is the other kernel's."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return torch.relu(self.a(x) + self.b(x))


def test_something_added():
    torch.manual_seed(0)
    net, x = Gated(), torch.randn(2, 8, 7, 9)
    assert error(net, kernels(net, x), x) < CLOSE


def test_a_separable_block():
    torch.manual_seed(0)
    body = (
        nn.Conv2d(5, 12, 1),
        nn.BatchNorm2d(12),
        nn.ReLU6(),
        nn.Conv2d(12, 12, 3, 2, 1, groups=12),
        nn.BatchNorm2d(12),
        nn.SiLU(),
    )
    net, x = moved_(nn.Sequential(*body, nn.Conv2d(12, 4, 1))), torch.randn(2, 5, 17, 15)
    fast = kernels(net, x)
    assert [op.kind for op in fast.graph.ops] == ["conv"] * 3
    assert error(net, fast, x) < CLOSE
