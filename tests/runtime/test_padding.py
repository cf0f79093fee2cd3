"""Frames around images: as a convolution's own padding where they are zeros, else by a kernel, against float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import error, kernels, sparse_, torch_ops
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

CLOSE = 3e-6
sides = st.tuples(*(st.integers(0, 3),) * 4)


class Framed(nn.Module):
    def __init__(self, pads, value, then, before=None):
        super().__init__()
        self.pads, self.value, self.then, self.before = pads, value, then, before or nn.Identity()

    def forward(self, x):
        return self.then(F.pad(self.before(x), self.pads, value=self.value))


@settings(max_examples=30, deadline=None)
@given(sides, st.integers(1, 5), st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(0, 1), st.integers(1, 3))
def test_zeros_before_a_convolution_are_its_padding(pads, channels, height, width, kernel, own, stride):
    torch.manual_seed(0)
    conv = sparse_(nn.Conv2d(channels, 4, kernel, stride, own), 0.5)
    net, x = Framed(pads, 0.0, conv), torch.randn(2, channels, height + 3, width + 3)
    fast = kernels(net, x)
    assert [op.kind for op in fast.graph.ops] == ["conv"]
    assert error(net, fast, x) < CLOSE
    fast.target = None
    assert error(net, fast, x) < CLOSE, "by torch"


@settings(max_examples=30, deadline=None)
@given(
    sides, st.sampled_from([0.0, 1.5, -2.0]), st.integers(1, 5), st.integers(1, 20), st.integers(1, 20),
    st.sampled_from([nn.MaxPool2d(2, 2), nn.AvgPool2d(3, 1, 1), nn.Identity(), nn.Conv2d(1, 1, 3, padding=1)]),
)  # fmt: skip
def test_other_frames_have_a_kernel(pads, value, channels, height, width, then):
    torch.manual_seed(0)
    if isinstance(then, nn.Conv2d):
        then = nn.Sequential(nn.ReLU(), nn.Conv2d(channels, 3, 3, padding=1))  # which reads zeros around the frame
    net = Framed(pads, value, then, sparse_(nn.Conv2d(channels, channels, 1), 0.5))
    x = torch.randn(2, channels, height + 2, width + 2)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert ("pad" in {op.kind for op in fast.graph.ops}) or not any(pads)
    assert error(net, fast, x) < CLOSE
    fast.target = None
    assert error(net, fast, x) < CLOSE, "by torch"


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_a_frame_without_end(value):
    torch.manual_seed(0)
    net, x = Framed((1, 1, 1, 1), value, nn.MaxPool2d(3, 2), nn.Conv2d(3, 3, 1)), torch.randn(1, 3, 9, 9)
    with torch.inference_mode():
        assert torch.allclose(kernels(net, x)(x), net(x), atol=1e-6)


@pytest.mark.parametrize("kernel", [2, 4, (2, 3)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_same_size_by_different_amounts_on_two_sides(kernel, dilation):
    torch.manual_seed(0)
    net, x = sparse_(nn.Conv2d(5, 6, kernel, padding="same", dilation=dilation), 0.5), torch.randn(2, 5, 11, 9)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert error(net, fast, x) < CLOSE


def test_a_frame_that_others_read_stays():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 3, 3)

        def forward(self, x):
            y = F.pad(x, (1, 1, 1, 1))
            return self.a(y), y.mean((2, 3), keepdim=True)

    torch.manual_seed(0)
    net, x = Both(), torch.randn(1, 3, 6, 7)
    fast = kernels(net, x)
    with torch.inference_mode():
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(fast(x), net(x), strict=True))


@pytest.mark.parametrize("pads", [(-1, 0, 0, 0), (0, 0, 0, 0, 1, 1)])
def test_what_is_no_frame_stays_with_torch(pads):
    torch.manual_seed(0)
    net, x = Framed(pads, 0.0, nn.Conv2d(5 if len(pads) > 4 else 3, 2, 1)), torch.randn(1, 3, 6, 7)
    fast = kernels(net, x)
    assert torch_ops(fast) == ["pad"]
    assert error(net, fast, x) < CLOSE
