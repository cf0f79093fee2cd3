"""The arithmetic coder, its whole-number probabilities, and the scan by contexts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.codec.coded import Wish, decode, encode
from secateur.codec.entropy.arithmetic import BitDecoder, BitEncoder
from secateur.codec.entropy.logistic import LIMIT, log, log_of, squash, stretch
from secateur.codec.entropy.scan import scan


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 65535), st.booleans()), max_size=300))
def test_bits_come_back(pairs: list[tuple[int, bool]]) -> None:
    p, bits = [q for q, _ in pairs], [int(b) for _, b in pairs]
    encoder = BitEncoder()
    encoder.code(p, bits)
    data = encoder.finish()
    decoder = BitDecoder(data)
    assert decoder.code(p) == bits
    decoder.finish()
    cost = sum(-math.log2((q if b else 65536 - q) / 65536) for q, b in zip(p, bits, strict=True))
    assert 8 * len(data) <= 1.001 * cost + 32


def test_tables_are_what_the_format_says() -> None:
    x = np.arange(-LIMIT, LIMIT + 1)
    exact = 65536 / (1 + np.exp(-x / 256.0))
    assert np.abs(squash(x) - exact).max() <= 0.5 + 1e-9
    assert squash(np.array([-(10**9), 10**9])).tolist() == [1, 65535]
    assert (squash(x) + squash(-x) == 65536).all()
    p = np.arange(65537)
    assert (squash(stretch(p[1:65536])) >= p[1:65536]).all()
    assert (np.diff(stretch(p)) >= 0).all()
    v = np.unique(np.concatenate([np.arange(1, 5000), 2 ** np.arange(45), 3 ** np.arange(28)]))
    assert np.abs(log(v) - 256 * np.log(v)).max() <= 2
    assert [log_of(int(n)) for n in v] == log(v).tolist()


def blobs(rows: int, side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that are images with something in one corner."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    kept = np.stack([
        rng.random((side, side)) < 0.6 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 9)
        for a, b in rng.integers(0, side, (rows, 2))
    ]).reshape(rows, -1).astype(np.int64)  # fmt: skip
    return kept, rng.integers(0, 2, kept.shape) * kept + 1 - kept, rng.integers(0, 4, kept.shape) * kept


def coded(entries: tuple[np.ndarray, ...], width: int) -> bytes:
    encoder = BitEncoder()
    scan(encoder, entries[0].shape, width, 2, True, tuple(e.copy() for e in entries), int(entries[0].sum()))
    return encoder.finish()


@pytest.mark.parametrize("width", [12, 144, 1])
def test_a_scan_comes_back(width: int) -> None:
    entries = blobs(20, 12)
    found = tuple(np.full_like(entries[0], v) for v in (0, 1, 0))
    scan(BitDecoder(coded(entries, width)), entries[0].shape, width, 2, True, found, int(entries[0].sum()))
    for a, b in zip(found, entries, strict=True):
        assert np.array_equal(a, b)


def test_neighbours_are_seen() -> None:
    """Far below the entropy of independent entries of the same densities, and better as an image than as a line."""
    kept, _, _ = entries = blobs(60, 16)
    p, rest = kept.mean(), 3 * kept.sum() / 8  # signs and magnitudes, which are random
    alone = -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) * kept.size / 8
    assert len(coded(entries, 16)) - rest < 0.8 * alone
    assert len(coded(entries, 16)) < 0.97 * len(coded(entries, 256))


def test_without_structure_it_is_within_two_percent_of_the_entropy() -> None:
    torch.manual_seed(0)
    t = torch.randint(1, 9, (200, 400)).float() * (torch.rand(200, 400) < 0.1)
    k, n = int(t.count_nonzero()), t.numel()
    p = k / n
    bound = (-(p * math.log2(p) + (1 - p) * math.log2(1 - p)) * n + 3 * k) / 8
    payload = encode(t, Wish(layout="context"))
    assert payload.layout == "context"
    assert len(payload.data) < 1.02 * bound + 40


def test_the_bits_are_the_same_on_every_machine() -> None:
    """A file that is read elsewhere must find the same probabilities: literal bytes."""
    t = torch.tensor([[0.5, 0, 0, -1], [0, 0, 0.5, 0], [0.5, 0, 0, -1], [0, 0, 0, 0]])
    assert encode(t, Wish(layout="context")).data.hex() == GOLDEN
    assert torch.equal(decode(bytes.fromhex(GOLDEN), 5, torch.float32, (4, 4))[0], t)


GOLDEN = "5004020000003f000080bf27e671"  # layout, width 4, two centroids, the code
