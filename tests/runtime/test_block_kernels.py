"""Blocks of R×C weights: found in the zeros, computed as such, right in every way that the tuner may pick."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import error, every_way, kernels
from torch import nn

pytest.importorskip("llvmlite")

import secateur as sc
from secateur.allocation import Uniform
from secateur.runtime import compile
from secateur.structure import Blocks, Kernels

CLOSE = 3e-6


def blocks_(layer, rows, columns, sparsity, seed=0):
    """Zero blocks of the layer's matrix at random."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        matrix = layer.weight.view(len(layer.weight), -1)
        alive = torch.rand(len(matrix) // rows, matrix.shape[1] // columns, generator=random) >= sparsity
        matrix.mul_(alive.repeat_interleave(rows, 0).repeat_interleave(columns, 1))
    return layer


@st.composite
def layers(draw):
    rows, columns = draw(st.sampled_from([1, 2, 3, 4, 8, 16])), draw(st.sampled_from([1, 2, 3, 4, 8, 9, 16]))
    outputs, inputs = rows * draw(st.integers(1, 4)), columns * draw(st.integers(1, 6))
    kernel = draw(st.sampled_from([None, 1, 3, (1, 3), 2]))
    if kernel is None:
        return nn.Linear(inputs, outputs), rows, columns, torch.randn(draw(st.integers(1, 20)), inputs)
    stride = draw(st.sampled_from([1, 1, 2]))
    layer = nn.Conv2d(inputs, outputs, kernel, stride, draw(st.integers(0, 1)), bias=draw(st.booleans()))
    return layer, rows, columns, torch.randn(1, inputs, draw(st.integers(3, 14)), draw(st.integers(3, 14)))


@settings(max_examples=60, deadline=None)
@given(layers(), st.sampled_from([0.0, 0.5, 0.8, 1.0]), st.integers(0, 5))
def test_every_way_gives_the_same(case, sparsity, seed):
    torch.manual_seed(seed)
    layer, rows, columns, x = case
    blocks_(layer, rows, columns, sparsity, seed)
    with torch.inference_mode():
        wanted = copy.deepcopy(layer).double()(x.double())
    for way, y in every_way(layer, x).items():
        assert float((y - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30)) < CLOSE, str(way)


@pytest.mark.parametrize(
    ("layer", "shape", "kernel"),
    [
        (nn.Linear(64, 64), (4, 4), "×4 blocks"),
        (nn.Linear(64, 64), (1, 8), "1×8 blocks"),
        (nn.Linear(64, 64), (8, 16), "×8 blocks"),  # of wider blocks a part
        (nn.Conv2d(32, 32, 1), (2, 2), "×2 blocks"),
        (nn.Conv2d(32, 32, 3, padding=1), (4, 9), "×9 blocks"),  # whole kernels of four outputs
        (nn.Conv2d(32, 32, 3, padding=1), (1, 3), "1×3 blocks"),  # a kernel's row
        (nn.Conv2d(32, 32, 3, padding=1), (4, 4), "×1 blocks"),  # parts of kernels, whose inputs lie anyhow
    ],
)
def test_what_is_found(layer, shape, kernel):
    torch.manual_seed(0)
    blocks_(layer, *shape, 0.9)
    x = torch.randn(9, 64) if isinstance(layer, nn.Linear) else torch.randn(1, 32, 9, 9)
    fast = kernels(layer, x)
    fast.measure((x,), {})
    assert kernel in str(fast)
    assert error(layer, fast, x) < CLOSE


def test_an_index_is_kept_for_a_block_and_not_for_a_weight():
    torch.manual_seed(0)
    found = {}
    for columns in (1, 8):
        layer = blocks_(nn.Linear(256, 64), 1, columns, 0.9)
        fast = kernels(layer, torch.randn(16, 256))
        found[columns] = fast.measure((torch.randn(16, 256),), {})
    assert found[1].nbytes / found[1].nonzeros > 6
    assert found[8].nbytes / found[8].nonzeros < 5.5


@pytest.mark.parametrize("structure", [Blocks(shape=(4, 4)), Blocks(shape=(1, 8)), Kernels()])
def test_from_pruning_to_speed(structure, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_CACHE", str(tmp_path))
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 1)
    )
    x = torch.randn(1, 8, 16, 16)
    sc.prune_(net, sc.Recipe(structure=structure, allocation=Uniform()), target=sc.Sparsity(0.85))
    fast = compile(net.eval(), x, threads=1, seconds=20)
    assert error(net, fast, x) < 1e-5
    whys = [r.why for r in fast.report.layers if r.sparsity and r.sparsity > 0.8]
    assert any("took" in why for why in whys), whys  # as blocks, and as something else
