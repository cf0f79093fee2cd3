"""Layers that go through the tiles together give what they give one after the other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sparse_cases import kernels, sparse_
from torch import nn
from torch.nn import functional as F

pytest.importorskip("llvmlite")

from secateur.runtime import plan


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1, with a way around them, and what comes after."""

    def __init__(self, outer, inner, around, again, groups):
        super().__init__()
        self.first, self.window = nn.Conv2d(outer, inner, 1), nn.Conv2d(inner, inner, 3, 1, 1, groups=groups)
        self.last, self.next = nn.Conv2d(inner, outer, 1), nn.Conv2d(outer, inner, 1)
        self.around = nn.Conv2d(outer, outer, 1) if around else nn.Identity()
        self.again = again

    def forward(self, x):
        y = F.relu(self.last(F.relu(self.window(F.relu(self.first(x))))) + self.around(x))
        z = F.relu(self.next(y))
        return self.last(z) + y if self.again else z


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 20), st.booleans(), st.booleans(), st.integers(3, 40), st.integers(1, 3),
    st.sampled_from([0.0, 0.6, 0.9]), st.integers(1, 2), st.booleans(),
)  # fmt: skip
def test_a_chain_gives_what_its_layers_give(outer, inner, around, again, size, threads, sparsity, batch, depthwise):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, outer, 3, 1, 1), Bottleneck(outer, inner, around, again, inner if depthwise else 1))
    x = torch.randn(batch, 3, size, size)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for large in (0, 1 << 40):
            patch.setattr(plan, "_LARGE", large)
            patch.setattr(plan, "_EACH", 1)
            fast = kernels(sparse_(net, sparsity), x)
            fast.threads = threads
            found.append(fast(x))
    assert torch.equal(*found)


@pytest.mark.parametrize(("size", "threads", "chained"), [(56, 1, True), (14, 1, False), (56, 2, True), (56, 8, False)])
def test_only_large_values_of_many_tiles_make_chains(size, threads, chained):
    torch.manual_seed(0)
    net = sparse_(nn.Sequential(nn.Conv2d(8, 256, 1), nn.ReLU(), nn.Conv2d(256, 8, 1)), 0.9)
    fast = kernels(net, torch.randn(1, 8, size, size))
    laid = fast.plan(0, fast._parts[0], 1, threads)
    assert (len(laid.table) < len(laid.steps)) == chained
