"""Weights as the kernel reads them: groups of rows, sorted by length, as values and the distances between their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cpu import Shape

__all__ = ["Packed", "pack"]

_Floats: TypeAlias = "NDArray[np.float32]"
_Ints: TypeAlias = "NDArray[np.int64]"
_FAR = 65535


@dataclass
class Packed:
    """A packed matrix; the arrays are those of the kernel's job.

    Attributes:
        starts: groups before each block of columns of each chunk of rows, ``[chunks · blocks + 1]``.
        ends: steps before each group, ``[groups + 1]``.
        bases: bytes from the tile's start to the first input, ``[groups, R]``.
        rows: first row of each block, ``[groups, R]``; one past the last where there is none. Short numbers, if they suffice.
        values: ``[steps, R, C, B]``.
        deltas: floats to the next block's first input, ``[steps, R]``.
        inner: bytes from a block's first input to each of its inputs, ``[C]``.
        nonzeros: weights that are not zero.
    """

    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    bases: NDArray[np.int32]
    rows: NDArray[np.uint16] | NDArray[np.int32]
    values: _Floats
    deltas: NDArray[np.uint16]
    inner: _Ints
    nonzeros: int

    @property
    def nbytes(self) -> int:
        """Bytes of everything."""
        return sum(a.nbytes for a in (self.starts, self.ends, self.bases, self.rows, self.values, self.deltas, self.inner))


def pack(
    weight: _Floats,
    offsets: _Ints,
    shape: Shape,
    *,
    bases: _Ints | None = None,
    chunks: int = 1,
    blocks: int = 1,
    dense: bool = False,
) -> Packed:
    """Pack a matrix.

    Args:
        weight: ``[rows, columns]``.
        offsets: of each column's input from the tile's start, in floats; of C neighbouring columns they always differ alike.
        shape: what the kernel unrolls.
        bases: added to the offsets of each row, in floats; rows of one block have the same.
        chunks: parts of the rows that are tasks of their own.
        blocks: parts of the columns that are gone through one after the other, so that their inputs stay in cache.
        dense: keep zeros too.
    """
    c = shape.columns
    inner = 4 * (offsets[:c] - offsets[:1])
    offsets = offsets[::c]
    order = np.argsort(offsets, kind="stable")
    offsets = offsets[order]
    heights = -(-len(weight) // shape.height)
    padded = np.zeros((heights * shape.height, weight.shape[1]), np.float32)
    padded[: len(weight)] = weight
    stacked = padded.reshape(heights, shape.height, -1, c)[:, :, order].transpose(0, 2, 3, 1).reshape(heights, len(order), -1)
    alive = np.ones(stacked.shape[:2], bool) if dense else (stacked != 0).any(2)
    columns = np.array_split(np.arange(len(order)), blocks)
    starts = np.zeros(heights, np.int64) if bases is None else bases[:: shape.height]
    builder = _Builder(stacked, alive, offsets, starts, shape)
    for part in _chunks(alive, chunks):
        for i, at in enumerate(columns):
            builder.block(part, at, edge=i in (0, blocks - 1))
    return builder.done(int(np.count_nonzero(weight)), len(weight), inner)


def _chunks(alive: NDArray[np.bool_], chunks: int) -> list[_Ints]:
    """Rows dealt out so that each part has about as many weights: the long rows first, in turns there and back."""
    order = np.argsort(-alive.sum(1), kind="stable")
    turn = np.arange(len(order)) % (2 * chunks)
    turn = np.where(turn < chunks, turn, 2 * chunks - 1 - turn)
    return [np.sort(order[turn == c]) for c in range(chunks)]


class _Builder:
    """Collects groups, one block of columns of one chunk of rows at a time."""

    def __init__(self, stacked: _Floats, alive: NDArray[np.bool_], offsets: _Ints, first: _Ints, shape: Shape) -> None:
        self.stacked, self.alive, self.offsets, self.first, self.shape = stacked, alive, offsets, first, shape
        self.starts, self.ends = [0], [np.zeros(1, np.int64)]
        self.steps = 0
        self.parts: list[tuple[_Ints, _Ints, _Floats, _Ints]] = []

    def block(self, part: _Ints, columns: _Ints, *, edge: bool) -> None:
        """The groups of some rows in some columns; in a middle block, rows without weights are left out."""
        at = int(columns[0]) if len(columns) else 0
        lane, column = np.nonzero(self.alive[part, at : at + len(columns)])
        column += at
        places, weights = self.offsets[column], self.stacked[part[lane], column]
        lane, places, weights = _bridged(lane, places, weights)
        lengths = np.bincount(lane, minlength=len(part))
        order = np.argsort(-lengths, kind="stable")
        order = order if edge else order[lengths[order] > 0]
        r = self.shape.rows
        groups = -(-len(order) // r)
        steps = lengths[order[::r]]  # the longest of each group
        ends = np.cumsum(steps)
        rank = np.empty(len(part), np.int64)
        rank[order] = np.arange(len(order))
        before = np.cumsum(lengths) - lengths
        step = (ends - steps)[rank[lane] // r] + np.arange(len(lane)) - before[lane]
        values = np.zeros((int(steps.sum()), r, self.stacked.shape[2]), np.float32)
        deltas = np.zeros((int(steps.sum()), r), np.int64)
        values[step, rank[lane] % r] = weights
        inner = np.flatnonzero(np.diff(lane) == 0)
        deltas[step[inner], rank[lane[inner]] % r] = np.diff(places)[inner]
        bases, rows = np.zeros(groups * r, np.int64), np.full(groups * r, -1, np.int64)
        begin = np.flatnonzero(np.diff(lane, prepend=-1))
        bases[rank[lane[begin]]] = 4 * (places[begin] + self.first[part[lane[begin]]])
        rows[: len(order)] = part[order]
        self.parts.append((bases, rows, values, deltas))
        self.ends.append(self.steps + ends)
        self.steps += int(steps.sum())
        self.starts.append(self.starts[-1] + groups)

    def done(self, nonzeros: int, count: int, inner: _Ints) -> Packed:
        r = self.shape.rows
        bases, rows = (np.concatenate([p[i] for p in self.parts]) for i in (0, 1))
        rows = np.append(np.where(rows < 0, count, rows * self.shape.height), [count] * r)  # the kernel looks one ahead
        return Packed(
            np.array(self.starts, np.int32),
            np.concatenate(self.ends).astype(np.int32),
            bases.astype(np.int32),
            rows.astype(np.uint16) if rows.max() <= _FAR else rows.astype(np.int32),
            np.concatenate([p[2].ravel() for p in self.parts]),
            np.concatenate([p[3].ravel() for p in self.parts]).astype(np.uint16),
            inner.astype(np.int64),
            nonzeros,
        )


def _bridged(lane: _Ints, places: _Ints, weights: _Floats) -> tuple[_Ints, _Ints, _Floats]:
    """Steps with weight zero on the way to inputs that are further off than a distance can say."""
    gaps = np.where(np.diff(lane, append=-1) == 0, np.diff(places, append=0), 0)
    hops = np.maximum(gaps - 1, 0) // _FAR
    if not hops.any():
        return lane, places, weights
    index = np.repeat(np.arange(len(lane)), hops + 1)
    hop = np.arange(len(index)) - np.repeat(np.cumsum(hops + 1) - hops - 1, hops + 1)
    return lane[index], places[index] + hop * _FAR, np.where(hop[:, None] == 0, weights[index], 0).astype(np.float32)
