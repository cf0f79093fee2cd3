"""Every layer kernel against float64, over odd sizes, strides, groups and patterns of zeros."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

pytest.importorskip("llvmlite")

from sparse_cases import error, every_way, kernels, sparse_, torch_ops

CLOSE = 3e-6


@pytest.mark.parametrize("stride", [1, 2])
def test_one_output_of_several_inputs_is_no_depthwise_layer(stride):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(5, 1, 3, stride), torch.randn(2, 5, 9, 8)
    assert error(layer, kernels(layer, x), x) < CLOSE


@pytest.mark.parametrize(("tokens", "threads"), [(128, 2), (256, 3)])
def test_each_thread_has_tokens_of_its_own(tokens, threads):
    torch.manual_seed(0)
    layer, x = sparse_(nn.Sequential(nn.Linear(20, 30), nn.GELU(), nn.Linear(30, 20)), 0.8), torch.randn(1, tokens, 20)
    fast = kernels(layer, x, threads)
    places = fast.plan(0, fast._parts[0], 1, threads).layout.places
    assert all(place.space.tiles >= threads for place in places.values())
    assert error(layer, fast, x) < CLOSE


def test_more_rows_than_short_numbers_tell():
    torch.manual_seed(0)
    layer, x = sparse_(nn.Linear(3, 65_600), 0.5), torch.randn(5, 3)
    assert error(layer, kernels(layer, x), x) < CLOSE


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2), (2, 4)]))
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    size = [draw(st.integers(n, n + 20)) for n in least]
    layer = nn.Conv2d(
        groups * draw(st.integers(1, 9)), groups * draw(st.integers(1, 17)), kernel, stride, padding, dilation, groups,
        bias=draw(st.booleans()),
    )  # fmt: skip
    return layer, torch.randn(draw(st.integers(2, 3)), layer.in_channels, *size)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.sampled_from([0.0, 0.3, 0.8, 0.95, 1.0]), st.booleans(), st.integers(0, 9), st.integers(1, 2))
def test_convolutions(case, sparsity, rows, seed, threads):
    torch.manual_seed(seed)
    layer, x = case
    sparse_(layer, sparsity, seed, rows)
    fast = kernels(layer, x, threads)
    assert torch_ops(fast) == []
    assert error(layer, fast, x) < CLOSE


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.booleans())
def test_linear_layers(inputs, outputs, batch, sparsity, rows):
    torch.manual_seed(0)
    net = nn.Sequential(sparse_(nn.Linear(inputs, outputs), sparsity, rows=rows), nn.ReLU())
    x = torch.randn(batch, inputs)
    fast = kernels(net, x)
    assert torch_ops(fast) == []
    for b in (batch, 1, batch + 5):
        assert error(net, fast, torch.randn(b, inputs)) < CLOSE


def test_one_pixel_and_one_channel():
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 1, 1)
    assert error(layer, kernels(layer, torch.randn(1, 1, 1, 1)), torch.randn(1, 1, 1, 1)) < CLOSE


def test_a_layer_of_zeros_gives_its_bias():
    layer = sparse_(nn.Conv2d(5, 7, 3, padding=1), 1.0)
    fast = kernels(layer, torch.randn(2, 5, 6, 6))
    assert torch.equal(fast(torch.randn(1, 5, 6, 6)), layer.bias.detach()[None, :, None, None].expand(1, 7, 6, 6))


def test_inputs_that_are_far_apart_are_bridged():
    """Distances are 16-bit: a row whose next input is more than 65 535 floats away takes steps of weight zero."""
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 3, 3, padding=1)
    with torch.no_grad():
        keep = torch.zeros_like(layer.weight)
        keep[:, 0, 0, 0] = keep[:, 63, 2, 2] = keep[1, 40] = 1
        layer.weight.mul_(keep)
    x = torch.randn(1, 64, 70, 70)
    assert error(layer, kernels(layer, x), x) < CLOSE


@pytest.mark.parametrize("height", [2, 4, 8])
@pytest.mark.parametrize("kernel", [1, 3])
def test_blocks_are_found_and_right(height, kernel):
    torch.manual_seed(0)
    layer = nn.Conv2d(24, 32, kernel, padding=kernel // 2)
    with torch.no_grad():
        alive = torch.rand(32 // height, 24, kernel, kernel) < 0.2
        layer.weight.mul_(alive.repeat_interleave(height, 0))
    x = torch.randn(1, 24, 13, 13)
    fast = kernels(layer, x)
    fast.measure((x,), {})
    assert "×1 blocks" in str(fast)
    assert error(layer, fast, x) < CLOSE


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 0.95])
def test_every_candidate_gives_the_same(sparsity):
    """Whatever the tuner picks is right: all unrollings, column blocks, chunks, both dense and sparse."""
    torch.manual_seed(0)
    net = nn.Sequential(sparse_(nn.Conv2d(40, 50, 3, padding=1), sparsity), nn.ReLU6())
    x = torch.randn(1, 40, 15, 15)
    with torch.inference_mode():
        expected = copy.deepcopy(net).double()(x.double())
    ways = every_way(net, x)
    assert len(ways) >= 4
    for way, y in ways.items():
        assert float((y - expected).abs().max() / expected.abs().max()) < CLOSE, str(way)


def test_what_is_not_a_number_goes_through():
    layer = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    x = torch.randn(1, 3, 4, 4)
    x[0, 0, 1, 2] = math.nan
    y = kernels(layer, x)(x)
    assert y[0, :, 1, 2].isnan().all()
    assert y.isnan().sum() == 4
