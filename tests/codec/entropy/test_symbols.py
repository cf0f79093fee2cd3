"""Symbols by each coder: they come back, within what the entropy allows, and damaged bytes are refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.codec.entropy import CODERS, huffman, rans
from secateur.codec.wire import Reader


def drawn(n: int, alphabet: int, skew: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.minimum(rng.random(n) ** skew, 0.999999) * alphabet).astype(np.uint8)


def entropy(symbols: np.ndarray) -> float:
    p = np.unique(symbols, return_counts=True)[1] / len(symbols)
    return float(-(p * np.log2(p)).sum())


@settings(max_examples=150, deadline=None)
@given(
    coder=st.sampled_from([*CODERS]), n=st.sampled_from([0, 1, 2, 7, 8, 9, 500, 4095, 4096, 4097, 9000]),
    alphabet=st.integers(1, 256), skew=st.sampled_from([0.2, 1.0, 5.0, 60.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_symbols_come_back(coder: str, n: int, alphabet: int, skew: float, seed: int) -> None:
    symbols = drawn(n, alphabet, skew, seed)
    data = CODERS[coder].encode(symbols, alphabet)
    reader = Reader(data)
    assert np.array_equal(CODERS[coder].decode(reader, n, alphabet), symbols)
    assert reader.left == 0


@settings(max_examples=60, deadline=None)
@given(alphabet=st.integers(2, 256), skew=st.floats(0.1, 40), seed=st.integers(0, 999))
def test_huffman_is_within_a_bit_of_the_entropy(alphabet: int, skew: float, seed: int) -> None:
    symbols = drawn(3000, alphabet, skew, seed)
    counts = np.bincount(symbols, minlength=alphabet)
    lengths = huffman.code_lengths(counts)
    mean = float((counts * lengths).sum() / counts.sum())
    assert sum(2.0 ** -int(n) for n in lengths if n) <= 1
    assert max(entropy(symbols), 1.0 if (counts > 0).sum() == 1 else 0.0) <= mean + 1e-9
    assert mean < entropy(symbols) + 1 or (counts > 0).sum() == 1


@pytest.mark.parametrize(
    ("counts", "lengths"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([0, 9, 0], [0, 1, 0]),  # a symbol alone takes a bit
        ([1, 1], [1, 1]),
        ([45, 13, 12, 16, 9, 5], [1, 3, 3, 3, 4, 4]),  # the textbook's example
    ],
)
def test_code_lengths_by_hand(counts: list[int], lengths: list[int]) -> None:
    assert huffman.code_lengths(np.array(counts)).tolist() == lengths


def test_no_code_word_is_longer_than_16_bits() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 40:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    lengths = huffman.code_lengths(np.array(fibonacci))
    assert lengths.max() == 16
    assert sum(2.0 ** -int(n) for n in lengths) == 1


@pytest.mark.parametrize(("n", "alphabet", "skew"), [(200_000, 32, 2.0), (400_000, 256, 6.0), (300_000, 8, 1.0)])
def test_rans_is_within_two_percent_of_the_entropy(n: int, alphabet: int, skew: float) -> None:
    symbols = drawn(n, alphabet, skew, 0)
    assert len(rans.encode(symbols, alphabet)) < 1.02 * entropy(symbols) * n / 8


@settings(max_examples=300, deadline=None)
@given(coder=st.sampled_from([*CODERS]), data=st.binary(max_size=80), n=st.integers(0, 5000), alphabet=st.integers(1, 256))
def test_any_bytes_decode_or_are_refused(coder: str, data: bytes, n: int, alphabet: int) -> None:
    with contextlib.suppress(ValueError):
        found = CODERS[coder].decode(Reader(data), n, alphabet)
        assert len(found) == n
        assert n == 0 or int(found.max()) < alphabet


@settings(max_examples=200, deadline=None)
@given(coder=st.sampled_from(["huffman", "rans"]), at=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_symbols_decode_or_are_refused(coder: str, at: int, flip: int, cut: bool) -> None:
    data = bytearray(CODERS[coder].encode(drawn(6000, 20, 3.0, 1), 20))
    data[at % len(data)] ^= flip
    with contextlib.suppress(ValueError):
        found = CODERS[coder].decode(Reader(bytes(data[: at % len(data)] if cut else data)), 6000, 20)
        assert int(found.max()) < 20
