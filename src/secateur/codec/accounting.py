"""The size of a pruned and shared layer by the counting of Deep Compression."""

from __future__ import annotations

from .coded import Parts

__all__ = ["coded_bits", "share_ratio", "size_before_coding", "size_model"]


def size_model(kept: float, weight_bits: int, index_bits: float, entries: int) -> float:
    """The share of its dense float32 size that a layer takes before entropy coding and without fillers.

    kept · (b_w + b_i) / 32 + 2^{b_w} / n

    Args:
        kept: fraction of the entries that are not zero.
        weight_bits: b_w, of a number in the codebook, which holds 2^{b_w} float32.
        index_bits: b_i, of a gap.
        entries: n, of the layer.

    Example:
        >>> round(100 * size_model(0.08, 6, 5, 235_200), 2)  # published with fillers: 3.1
        2.78

    Source: Han, Mao and Dally 2016, Tables 2 to 5.
    """
    return kept * (weight_bits + index_bits) / 32 + (1 << weight_bits) / entries


def share_ratio(entries: int, clusters: int, bits: int = 32) -> float:
    """How many times smaller sharing alone makes a layer.

    r = n·b / (n·log₂ k + k·b)

    Args:
        entries: n.
        clusters: k, a power of two.
        bits: b, of an entry that is not shared.

    Example:
        >>> share_ratio(16, 4)
        3.2

    Source: Han, Mao and Dally 2016, Equation 1.
    """
    return entries * bits / (entries * (clusters - 1).bit_length() + clusters * bits)


def size_before_coding(parts: Parts) -> float:
    """Bytes that a tensor would take with positions and numbers as they are: P + Q of the paper.

    Example:
        >>> size_before_coding(Parts(10, 20, 128, 1, 100, 5.0, 6))
        265.5
    """
    return parts.listed * (parts.index_bits + parts.weight_bits) / 8 + parts.codebook


def coded_bits(parts: Parts) -> tuple[float, float]:
    """Bits of a value and of a position as they lie in the file, on average: + H of the paper.

    Example:
        >>> coded_bits(Parts(10, 20, 128, 1, 100, 5.0, 6))
        (1.6, 0.8)
    """
    listed = max(parts.listed, 1)
    return 8 * parts.values / listed, 8 * parts.positions / listed
