"""Which entries of a matrix are not zero, and what they are, coded by contexts: small tensors in the fewest bytes.

The matrix, R rows of C columns, is taken row by row; a row's columns, seen as an image of C / width lines, are taken in
eight phases, each a lattice of every other entry of what is left. For all entries of a phase the probability of "not
zero" is the squash of a weighted sum of logits: the column's density so far and that of its surroundings, the row's
density, and how many entries of the row within 1, 2 and 4 steps were taken so far against how many were to be expected. The
weights learn after every phase (a step of Adagrad on the code length). The sign of an entry that is not zero is predicted
the same way from the signs around it, and its magnitude bit by bit from how often each value came before. All of it is
whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import isqrt
from typing import Any, Protocol

import numpy as np

from .logistic import ONE, Integers, log, log_of, squash, stretch

__all__ = ["Coder", "scan"]

RADII = (1, 2, 4)
BIAS = 77  # 0.3
_SCALE = np.array([ONE, 1], dtype=np.int64)[:, None, None]  # entries are counted, densities are in 1/65536
_POSITION = (
    39322,
    39322,
    0,
    19661,
    13107,
    6554,
    0,
    0,
    13107,
    13107,
)  # the weights at first: column, row, bias, windows, surroundings
_SIGN = (65536, 0, 13107, 13107, 6554, 6554)  # all, row, windows, column


class Coder(Protocol):
    """A binary coder, of either direction."""

    def code(self, p: Sequence[int], bits: Sequence[int], what: str = "value") -> Sequence[int]:
        """Code bits of these probabilities, of a ``position`` or a ``value``; a decoder does not look at ``bits``."""


class Mixer:
    """Weights over logits: p = squash(Σ w·x), and after the bits are known w += η·g / √(Σ g² + 50), g = Σ x·(bit − p)."""

    def __init__(self, weights: Sequence[int]) -> None:
        self._w, self._squares = list(weights), [50 << 24] * len(weights)

    def predict(self, x: Integers) -> Integers:
        """Probabilities in 1/65536 of each column of ``x``, logits in 1/256."""
        found: Integers = squash((np.array(self._w) @ x) >> 16)
        return found

    def learn(self, x: Integers, p: Integers, bits: Integers) -> None:
        """One step towards shorter code."""
        gradient = ((x @ ((bits << 16) - p)) >> 12).tolist()
        for i, g in enumerate(gradient):
            self._squares[i] += g * g
            self._w[i] += 5898 * g // isqrt(self._squares[i])


class Magnitudes:
    """Whole numbers of a fixed number of bits, the highest first, each bit by how often it was set after those before it."""

    def __init__(self, bits: int) -> None:
        self._bits, self._seen = bits, {}  # type: ignore[var-annotated]

    def code(self, coder: Coder, context: int, value: int) -> int:
        """Code one number; the context has counts of its own."""
        node = 1
        for level in range(self._bits - 1, -1, -1):
            counts = self._seen.setdefault((context, node), [0, 0])
            p = ((2 * counts[1] + 1) << 16) // (2 * (counts[0] + counts[1]) + 2)
            bit = coder.code((min(max(p, 32), ONE - 32),), (value >> level & 1,))[0]
            counts[bit] += 1
            node = 2 * node + bit
        return node - (1 << self._bits)


class Lattice:
    """The phases of a row, and the corners of the windows around each entry in a table of sums."""

    def __init__(self, columns: int, width: int) -> None:
        self.lines, self.width = columns // width, width
        y, x = np.divmod(np.arange(columns), width)
        if self.lines == 1:
            order = np.array([0, 4, 2, 6, 1, 5, 3, 7])[x % 8]
        else:
            order = 2 * (2 * (y % 2) + (x + y) % 2) + (y // 2 + x // 2) % 2
        phases = [np.flatnonzero(order == i) for i in range(8)]
        self.phases = [lanes for lanes in phases if len(lanes)]
        corners, areas = [], []
        for r in RADII:
            top, bottom = np.maximum(y - r, 0), np.minimum(y + r + 1, self.lines)
            left, right = np.maximum(x - r, 0), np.minimum(x + r + 1, width)
            corners.append([a * (width + 1) + b for a, b in ((top, left), (top, right), (bottom, left), (bottom, right))])
            areas.append((bottom - top) * (right - left))
        self.corners, self.areas = np.array(corners), np.array(areas)
        self._tables = {k: np.zeros((k, self.lines + 1, width + 1), dtype=np.int64) for k in (1, 3)}
        self._corners = [np.ascontiguousarray(self.corners[:, :, lanes]) for lanes in self.phases]

    def sums(self, planes: Integers, phase: int | None = None) -> Integers:
        """The sums of k planes [k, C] over the windows of each radius around the lanes of a phase, or all: [k, radii, lanes]."""
        table = self._tables[len(planes)]  # its first line and column stay zero
        image = planes.reshape(len(planes), self.lines, self.width)
        np.cumsum(image, axis=1, out=table[:, 1:, 1:])
        np.cumsum(table[:, 1:, 1:], axis=2, out=table[:, 1:, 1:])
        t = table.reshape(len(planes), -1).take(self.corners if phase is None else self._corners[phase], axis=1)
        found: Integers = t[:, :, 0] - t[:, :, 1] - t[:, :, 2] + t[:, :, 3]
        return found


@cache
def _inverse_roots(n: int) -> Integers:
    """256 / √(i + 1) for i ≤ n."""
    return np.array([isqrt(ONE // (i + 1)) for i in range(n + 1)], dtype=np.int64)


class _Columns:
    """What earlier rows say of each column: how dense it is, and of which sign."""

    def __init__(self, lattice: Lattice, columns: int, left: tuple[int, int]) -> None:
        self.lattice, self.rows, self.left = lattice, 0, left  # entries that are not zero, and all, from here on
        self.kept = np.zeros(columns, dtype=np.int64)
        self.signs = np.zeros(columns, dtype=np.int64)
        self.sums = 0, 0  # of signs, and of entries kept

    def densities(self) -> tuple[Integers, Integers]:
        """Of each column, and of its surroundings by radius, in 1/65536."""
        n = self.rows
        overall = min(max((self.left[0] << 16) // self.left[1], 1), ONE - 64)
        around = self.lattice.sums(self.kept[None])[0] - self.kept
        prior = np.clip((around + 1 << 16) // ((self.lattice.areas - 1) * n + ONE // overall), 1, ONE - 64)
        own = np.clip(((self.kept << 16) + 2 * prior[0]) // (n + 2), 1, ONE - 64)
        slow = np.clip((self.kept + 2 << 16) // (n + 2 * ONE // prior[2]), 1, ONE - 64)
        return own, np.concatenate([prior, slow[None]])

    def add(self, kept: Integers, signs: Integers) -> None:
        self.rows += 1
        self.sums = self.sums[0] + int(signs.sum()), self.sums[1] + int(kept.sum())
        self.left = self.left[0] - int(kept.sum()), self.left[1] - len(kept)
        self.kept += kept
        self.signs += signs


def scan(
    coder: Coder, shape: tuple[int, int], width: int, bits: int, signed: bool, entries: tuple[Any, Any, Any], count: int
) -> tuple[Any, Any, Any]:
    """Code a matrix in either direction.

    Args:
        coder: takes the bits, or gives them.
        shape: rows and columns, neither 0.
        width: of the image that a row is; divides the columns.
        bits: of the magnitudes.
        signed: whether entries have a sign to be coded; otherwise all are positive.
        entries: [R, C] each: whether an entry is kept, whether it is positive, its magnitude. A decoder fills them.
        count: how many entries are kept; all of them is not coded.

    Returns:
        ``entries``.
    """
    rows, columns = shape
    lattice = Lattice(columns, width)
    history, magnitudes = _Columns(lattice, columns, (count, rows * columns)), Magnitudes(bits)
    position = Mixer(_POSITION)
    sign = Mixer(_SIGN)
    roots = _inverse_roots(max(rows, (2 * RADII[-1] + 1) ** 2))
    for kept, positive, magnitude in zip(*entries, strict=True):
        own, prior = history.densities()
        own_logit, prior_logit = stretch(own), stretch(prior)
        now = np.zeros((3, columns), dtype=np.int64)  # kept, expected, sign, of what is known of this row
        for phase, lanes in enumerate(lattice.phases):
            sums = lattice.sums(now, phase)
            if count < rows * columns:
                x = _position_logits(lanes, now, sums, own_logit, prior_logit)
                p = position.predict(x)
                kept[lanes] = coder.code(p.tolist(), kept[lanes].tolist(), "position")
                position.learn(x, p, kept[lanes])
                now[1, lanes] = own[lanes]
            now[0, lanes] = kept[lanes]
            at = np.flatnonzero(kept[lanes])
            if len(at):
                if signed:
                    x = _sign_logits(lanes[at], at, now, sums, history, roots)
                    p = sign.predict(x)
                    positive[lanes[at]] = coder.code(p.tolist(), positive[lanes[at]].tolist())
                    sign.learn(x, p, positive[lanes[at]])
                now[2, lanes[at]] = 2 * positive[lanes[at]] - 1
                for lane in lanes[at].tolist():
                    magnitude[lane] = magnitudes.code(coder, int(positive[lane]), int(magnitude[lane]))
        history.add(now[0], now[2])
    return entries


def _sign_logits(lanes: Integers, at: Integers, now: Integers, sums: Integers, history: _Columns, roots: Integers) -> Integers:
    total, known = history.sums
    x = np.empty((6, len(at)), dtype=np.int64)
    x[0] = int(stretch(((total + known + 1) << 15) // (known + 1)))
    x[1] = int(now[2].sum()) * isqrt(ONE // (int(now[0].sum()) + 1))
    x[2:5] = sums[2][:, at] * roots[sums[0][:, at]]
    x[5] = history.signs[lanes] * roots[history.kept[lanes]]
    return x


def _position_logits(lanes: Integers, now: Integers, sums: Integers, own: Integers, prior: Integers) -> Integers:
    found, expected = now[:2].sum(axis=1).tolist()
    x = np.empty((10, len(lanes)), dtype=np.int64)
    x[0] = own[lanes]
    x[1] = log_of(found + 2 << 16) - log_of(expected + (2 << 16))
    x[2] = BIAS
    logs = log(sums[:2] * _SCALE + 19661)
    x[3:6] = logs[0] - logs[1]
    x[6:] = prior[:, lanes] - x[0]
    return x
