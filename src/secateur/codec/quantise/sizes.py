"""What sharing saves, on paper: the formulas of Deep Compression and Shannon's bound."""

from __future__ import annotations

import math

from torch import Tensor

from .. import bitmask

__all__ = ["entropy_bytes", "sharing_ratio", "size_model"]


def sharing_ratio(n: int, k: int, bits: int = 32) -> float:
    """How many times smaller n weights of b bits are as indices of k values and a codebook: r = n·b / (n·log₂ k + k·b).

    Args:
        n: weights.
        k: values.
        bits: b, of a weight before, and of a value in the codebook.

    Example:
        >>> sharing_ratio(16, 4)
        3.2

    Source: S. Han, H. Mao, W. Dally, "Deep Compression", 2016 (arXiv:1510.00149), equation 1.
    """
    return n * bits / (n * math.log2(k) + k * bits)


def size_model(n: int, kept: float, weight_bits: int, index_bits: int) -> float:
    """The size of a layer against float32, before filler zeros: kept·(b_w + b_i)/32 + 2^b_w / n.

    Args:
        n: weights before pruning.
        kept: fraction that is left.
        weight_bits: b_w, of an index into the codebook.
        index_bits: b_i, of a gap between two weights that are left.

    Example:
        >>> round(size_model(235_200, 0.08, 6, 5), 4)
        0.0278
    """
    return kept * (weight_bits + index_bits) / 32 + float(2**weight_bits) / n


def entropy_bytes(tensor: Tensor) -> float:
    """Bytes that an ideal coder needs: positions, and the values by a codebook or as they are, each entry independent.

    n·H(kept) + kept·n·H(values) bits and the codebook, with the frequencies of this tensor. A coder that knows more than
    frequencies (which columns are empty, say) can be below.

    Args:
        tensor: n entries; zero is none of the values.

    Example:
        >>> import torch
        >>> entropy_bytes(torch.tensor([0.0, 1.0, 0.0, 2.0] * 8))
        14.0
    """
    left = tensor.detach().flatten()[bitmask.kept(tensor).to(tensor.device)]
    n, k = tensor.numel(), left.numel()
    values, counts = left.unique(return_counts=True)  # type: ignore[no-untyped-call]
    plain, size = 8 * tensor.element_size() * k, 8 * tensor.element_size()
    coded: float = _bits(counts.tolist()) + size * values.numel()
    return (_bits([k, n - k]) + min(plain, coded)) / 8


def _bits(counts: list[int]) -> float:
    """Σ c·log₂(Σc / c)."""
    total = sum(counts)
    return sum(c * math.log2(total / c) for c in counts if c)
