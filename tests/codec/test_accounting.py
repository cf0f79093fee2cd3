"""Deep Compression's own counting: its size model, its ratio of sharing, and the columns of its tables."""

from __future__ import annotations

import pytest
import torch

from secateur.codec.accounting import coded_bits, share_ratio, size_before_coding, size_model
from secateur.codec.coded import Wish, decode, encode


def test_sharing_alone() -> None:
    assert share_ratio(16, 4) == 3.2  # the paper's figure 3: 16 weights, 4 clusters


@pytest.mark.parametrize(
    ("kept", "entries", "percent", "published"),
    [(0.08, 235_200, 2.78, 3.1), (0.09, 30_000, 3.31, 3.8), (0.26, 1_000, 15.3, 15.7)],  # LeNet-300-100, 6 and 5 bits
)
def test_the_size_model(kept: float, entries: int, percent: float, published: float) -> None:
    found = 100 * size_model(kept, 6, 5, entries)
    assert found == pytest.approx(percent, abs=0.04)
    assert found < published  # which has fillers


@pytest.mark.parametrize(("rows", "columns", "kept"), [(300, 784, 0.08), (100, 300, 0.09), (10, 100, 0.26)])
def test_a_layer_as_the_paper_stores_it(rows: int, columns: int, kept: float) -> None:
    """6-bit sharing, 5-bit gaps: before coding the size model and the fillers, after coding less, within a bit of the entropy."""
    torch.manual_seed(0)
    n = rows * columns
    book = torch.linspace(-1, 1, 64)
    t = book[torch.randint(0, 64, (rows, columns))] * (torch.rand(rows, columns) < kept)
    payload = encode(t, Wish("huffman", index_bits=5))
    found, parts = decode(payload.data, payload.nonzero, t.dtype, (rows, columns))
    assert torch.equal(found, t)
    assert (payload.layout, parts.index_bits) == ("gaps", 5)
    assert parts.weight_bits in (6, 7)  # the zero of the fillers is a number too
    fillers = parts.listed - payload.nonzero
    assert (fillers > 0) == (n > 2000)
    model = size_model(payload.nonzero / n, 6, 5, n) * 4 * n
    with_fillers = model + (payload.nonzero * (parts.weight_bits - 6) + fillers * (parts.weight_bits + 5)) / 8
    assert size_before_coding(parts) == pytest.approx(with_fillers + parts.codebook - 64 * 4)
    assert 0 <= 65 * 4 - parts.codebook <= 12  # all centroids but a few that nothing fell to, and the zero
    weight, index = coded_bits(parts)
    assert index < 5
    assert weight < 6.2 + 8 * 42 / parts.listed  # lengths of the code are stored too
