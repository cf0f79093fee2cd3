"""Attention with every kind of mask against float64: known, computed, of truth values, added, causal, one that hides all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import kernels, torch_ops
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

from secateur.runtime.segments import Segment

CLOSE = 3e-6


class Attention(nn.Module):
    """Heads of values that lie side by side, with a mask that is known, or that forward is given."""

    def __init__(self, heads, mask=None, causal=False, scale=None):
        super().__init__()
        self.heads, self.causal, self.scale = heads, causal, scale
        self.register_buffer("mask", mask)

    def forward(self, x, given=None):
        q, k, v = (p.view(*p.shape[:2], self.heads, -1).transpose(1, 2) for p in x.chunk(3, 2))
        mask = self.mask if given is None else given
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal, scale=self.scale)
        return y.transpose(1, 2).reshape(*x.shape[:2], -1)


def masks(shape, kind, seed=0):
    random = torch.Generator().manual_seed(seed)
    if kind == "added":
        return torch.randn(shape, generator=random)
    seen = torch.rand(shape, generator=random) < 0.6
    if kind == "bool":
        return seen
    return torch.zeros(shape).masked_fill(~seen, -math.inf if kind == "-inf" else torch.finfo(torch.float32).min)


def check(net, *inputs):
    fast = kernels(net, inputs)
    assert "scaled_dot_product_attention" not in torch_ops(fast)
    doubled = [x.double() if x.dtype == torch.float32 else x for x in inputs]
    with torch.inference_mode():
        wanted = net.double()(*doubled)
        net.float()
    for run in ("kernels", "torch"):
        found = fast(*inputs)
        error = (found.double() - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)
        assert float(error) < CLOSE, run
        fast.target = None
    return fast


SHAPES = {
    "all alike": lambda b, h, t: (t, t), "keys": lambda b, h, t: (1, t), "each head's": lambda b, h, t: (h, t, t),
    "each example's": lambda b, h, t: (b, 1, t, t), "each example's keys": lambda b, h, t: (b, 1, 1, t),
    "each one's": lambda b, h, t: (b, h, t, t),
}  # fmt: skip
SIZES = (st.integers(2, 3), st.integers(1, 3), st.integers(1, 60), st.sampled_from([4, 12]))


@settings(max_examples=25, deadline=None)
@given(
    *SIZES,
    st.sampled_from([s for s in SHAPES if "example" not in s and "one" not in s]),
    st.sampled_from(["bool", "added", "-inf"]),
)
def test_masks_that_are_known(batch, heads, tokens, depth, shape, kind):
    torch.manual_seed(0)
    net = Attention(heads, masks(SHAPES[shape](batch, heads, tokens), kind))
    fast = check(net, torch.randn(batch, tokens, 3 * heads * depth))
    assert {op.kind for op in fast.graph.ops if op.kind != "torch"} == {"attention"}


@settings(max_examples=25, deadline=None)
@given(*SIZES, st.sampled_from(list(SHAPES)), st.sampled_from(["bool", "added", "-inf", "least"]))
def test_masks_that_are_given(batch, heads, tokens, depth, shape, kind):
    torch.manual_seed(0)
    mask = masks(SHAPES[shape](batch, heads, tokens), kind)
    check(Attention(heads), torch.randn(batch, tokens, 3 * heads * depth), mask)


@settings(max_examples=25, deadline=None)
@given(*SIZES, st.sampled_from(["flag", "bool", "-inf", "least"]), st.sampled_from([None, 0.3]))
def test_causal(batch, heads, tokens, depth, kind, scale):
    torch.manual_seed(0)
    seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    added = torch.zeros(tokens, tokens).masked_fill(~seen, -math.inf if kind == "-inf" else torch.finfo(torch.float32).min)
    net = Attention(heads, {"flag": None, "bool": seen}.get(kind, added), kind == "flag", scale)
    fast = check(net, torch.randn(batch, tokens, 3 * heads * depth))
    assert next(op for op in fast.graph.ops if op.kind == "attention").settings["causal"] or tokens == 1


def test_a_query_that_sees_nothing_gives_zeros():
    torch.manual_seed(0)
    mask = torch.ones(9, 9, dtype=torch.bool)
    mask[4] = False
    fast = check(Attention(2, mask), torch.randn(2, 9, 24))
    assert (fast(torch.randn(2, 9, 24))[:, 4] == 0).all()


class Layers(nn.Module):
    """Layers that make a mask each, of which tokens there are."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(9))

    def forward(self, x, there):
        for i in range(0, 9, 3):
            q, k, v = (layer(x).view(*x.shape[:2], 2, 8).transpose(1, 2) for layer in self.layers[i : i + 3])
            y = F.scaled_dot_product_attention(q, k, v, there[:, None, None, :].bool())
            x = x + y.transpose(1, 2).reshape(x.shape)
        return x


def test_masks_split_nothing():
    """What torch does to the masks is done before the first kernel."""
    torch.manual_seed(0)
    net, x = Layers(), torch.randn(2, 11, 16)
    there = (torch.arange(11)[None] < torch.tensor([[11], [7]])).long()
    fast = kernels(net, (x, there))
    assert [op.kind for op in fast.graph.ops].count("attention") == 3
    assert sum(isinstance(p, Segment) for p in fast._parts) == 1
    with torch.inference_mode():
        assert torch.allclose(fast(x, there), net(x, there), atol=1e-5)


def test_what_writes_stays_where_it_is():
    """An operation of torch that changes what kernels before it read is not moved before them."""

    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            y = x * 2
            z = self.a(y)
            y.mul_(10)
            return z, y

    torch.manual_seed(0)
    net, x = Writes(), torch.randn(2, 3, 6, 6)
    with torch.inference_mode():
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(kernels(net, x)(x), net(x), strict=True))
