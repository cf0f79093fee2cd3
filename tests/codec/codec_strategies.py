"""Tensors of every kind, and how the codec's tests compare them."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from secateur.codec import bitmask


@st.composite
def tensors(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = bitmask.SUPPORTED) -> torch.Tensor:
    """Any bit pattern of any supported type, shape and sparsity."""
    dtype = draw(st.sampled_from(dtypes))
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=4)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 256, (*shape, size), dtype=torch.uint8, generator=generator)
    keep = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
    raw[~keep] = 0
    return raw.view(dtype).view(shape) if dtype != torch.bool else keep


def bits(t: torch.Tensor) -> torch.Tensor:
    return t.contiguous().view(-1).view(torch.uint8)


def positive_zeros(t: torch.Tensor) -> torch.Tensor:
    """The same tensor with every −0.0 as +0.0, and nothing else touched."""
    out = t.clone().view(-1)
    out[~bitmask.kept(t)] = 0
    return out.view(t.shape)
