"""Probabilities and their logits in integers, the same on every machine.

Logits are in 1/256: squash(x) = 65536 / (1 + e^(−x/256)), stretch(p) = 256·ln(p / (65536 − p)), log(v) = 256·ln v. The
tables are rounded from decimal arithmetic of 20 digits, which Python defines to the last digit; what follows is whole numbers.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LIMIT", "ONE", "Integers", "log", "log_of", "squash", "stretch"]

Integers = npt.NDArray[np.int64]
ONE = 1 << 16
LIMIT = 2815  # 256·ln(ONE), less than one step: squash stays within 1…65535

_EXACT = Context(prec=20, rounding=ROUND_HALF_EVEN)


def _round(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_HALF_EVEN, _EXACT))


@cache
def _squash_table() -> Integers:
    one, scale = Decimal(1), Decimal(ONE)
    half = [_round(_EXACT.divide(scale, one + _EXACT.exp(Decimal(-x) / 256))) for x in range(LIMIT + 1)]
    return np.array([ONE - p for p in half[:0:-1]] + half, dtype=np.int64)


@cache
def _stretch_table() -> Integers:
    """By probability: the least x whose squash is not below it."""
    found = np.searchsorted(_squash_table(), np.arange(ONE + 1)) - LIMIT
    return np.minimum(found, LIMIT)


@cache
def _log_table() -> tuple[Integers, int]:
    """256·ln(m/256) for m in 256…511, and 256·ln 2, in 1/256."""
    ln = [_EXACT.ln(Decimal(m) / 256) for m in range(256, 512)]
    return np.array([_round(v * ONE) for v in ln], dtype=np.int64), _round(_EXACT.ln(Decimal(2)) * ONE)


def squash(x: Any) -> Any:
    """Probabilities of ones in 1/65536, between 1 and 65535, from logits in 1/256.

    Example:
        >>> squash(np.array([-9999, 0, 256])).tolist()
        [1, 32768, 47911]
    """
    return _squash_table()[np.minimum(np.maximum(x, -LIMIT), LIMIT) + LIMIT]


def stretch(p: Any) -> Any:
    """Logits in 1/256 from probabilities in 1/65536.

    Example:
        >>> stretch(np.array([0, 32768, 47911])).tolist()
        [-2815, 0, 256]
    """
    return _stretch_table()[p]


def log(v: Any) -> Any:
    """256·ln v, from the nine leading bits of whole numbers v ≥ 1 below 2⁵³.

    Example:
        >>> log(np.array([1, 2, 1000])).tolist()
        [0, 177, 1768]
    """
    table, ln2 = _log_table()
    mantissa, exponent = np.frexp(np.asarray(v, dtype=np.float64))  # exact: a power of two is split off
    return (table[(mantissa * 512).astype(np.int64) - 256] + (exponent.astype(np.int64) - 1) * ln2) >> 8


def log_of(v: int) -> int:
    """``log`` of one number.

    Example:
        >>> [log_of(v) for v in (1, 2, 1000)]
        [0, 177, 1768]
    """
    table, ln2 = _log_list()
    exponent = v.bit_length() - 1
    mantissa = v >> (exponent - 8) if exponent >= 8 else v << (8 - exponent)
    return (table[mantissa - 256] + exponent * ln2) >> 8


@cache
def _log_list() -> tuple[list[int], int]:
    table, ln2 = _log_table()
    return table.tolist(), ln2
