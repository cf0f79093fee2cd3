"""Pooling, means, sums, activations and joins against float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

from sparse_cases import error, kernels, moved_, sparse_, torch_ops

CLOSE = 3e-6


@st.composite
def pools(draw):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    stride = draw(st.sampled_from([(1, 1), (2, 2), (2, 1), (3, 3), (1, 2)]))
    size = [draw(st.integers(k, k + 20)) for k in kernel]
    kind = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
    return kind(kernel, stride, padding), torch.randn(2, draw(st.integers(1, 9)), *size) - 3


@settings(max_examples=60, deadline=None)
@given(pools())
def test_pools(case):
    pool, x = case
    fast = kernels(pool, x)
    assert torch_ops(fast) == []
    assert error(pool, fast, x) < CLOSE


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(1, 30))
def test_means(channels, height, width):
    x = torch.randn(2, channels, height, width)
    for net in (nn.AdaptiveAvgPool2d(1), Mean()):
        fast = kernels(net, x)
        assert torch_ops(fast) == []
        assert error(net, fast, x) < CLOSE


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3), keepdim=True)


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 7, 3), nn.Linear(7, 4)

    def forward(self, x):
        return self.b(self.a(x).mean([-2, -1]))


def test_a_mean_without_its_sizes_of_one():
    torch.manual_seed(0)
    net, x = Pooled(), torch.randn(3, 3, 9, 9)
    fast = kernels(net, x)
    assert len(torch_ops(fast)) == 1, "a view"
    assert error(net, fast, x) < CLOSE


class Masked(nn.Module):
    """Operations whose names end like those that write, and some that do write."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 5)

    def forward(self, x):
        y = self.a(x)
        keep = (y > 0) & (y < 1)
        y = y * 2
        y.add_(1.0).mul_(keep)
        z = y + 1
        z.relu_()
        return self.a(z) + z + y


class Joined(nn.Module):
    """Two branches, joined, added and normalised."""

    def __init__(self):
        super().__init__()
        self.a, self.b = sparse_(nn.Conv2d(5, 6, 3, padding=1), 0.8), sparse_(nn.Conv2d(5, 7, 1), 0.8)
        self.norm, self.c = nn.BatchNorm2d(18), sparse_(nn.Conv2d(18, 5, 3, padding=1), 0.8)

    def forward(self, x):
        y = torch.cat([self.a(x), x, self.b(x)], 1)
        y = self.c(F.relu(self.norm(y)))
        return F.hardtanh(y + x + x, -0.5, 0.7)


def test_what_writes_and_what_only_sounds_like_it():
    torch.manual_seed(0)
    net, x = Masked(), torch.randn(3, 5)
    assert error(net, kernels(net, x), x) < CLOSE


def test_branches():
    torch.manual_seed(0)
    net = moved_(Joined())
    x = torch.randn(2, 5, 11, 7)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert error(net, fast, x) < CLOSE


class Shared(nn.Module):
    """A value that is used again after it was added to and clamped."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        y = self.a(x)
        z = F.relu(y)
        return self.b(z) + y + z


def test_a_value_that_others_use_is_not_overwritten():
    torch.manual_seed(0)
    net = Shared()
    x = torch.randn(2, 4, 9, 9)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    assert error(net, fast, x) < CLOSE


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        y = self.a(x)
        z = F.relu(y, inplace=True)
        return y + z  # both are the rectified


def test_what_is_written_in_place_is_seen_by_later_readers():
    torch.manual_seed(0)
    net = InPlace()
    x = torch.randn(2, 3, 5, 5)
    assert error(net, kernels(net, x), x) < CLOSE
