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
        rows: first row of each block, ``[groups, R]``; one past the last where there is none.
        values: ``[steps, R, B]``.
        deltas: floats to the next input, ``[steps, R]``.
        nonzeros: weights that are not zero.
    """

    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    bases: NDArray[np.int32]
    rows: NDArray[np.int32]
    values: _Floats
    deltas: NDArray[np.uint16]
    nonzeros: int

    @property
    def nbytes(self) -> int:
        """Bytes of everything."""
        return sum(a.nbytes for a in (self.starts, self.ends, self.bases, self.rows, self.values, self.deltas))


def pack(
    weight: _Floats, offsets: _Ints, shape: Shape, *, bases: _Ints | None = None, chunks: int = 1, blocks: int = 1, dense: bool = False
) -> Packed:
    """Pack a matrix.

    Args:
        weight: ``[rows, columns]``.
        offsets: of each column's input from the tile's start, in floats.
        shape: what the kernel unrolls.
        bases: added to the offsets of each row, in floats; rows of one block have the same.
        chunks: parts of the rows that are tasks of their own.
        blocks: parts of the columns that are gone through one after the other, so that their inputs stay in cache.
        dense: keep zeros too.
    """
    order = np.argsort(offsets, kind="stable")
    weight, offsets = weight[:, order], offsets[order]
    heights = -(-len(weight) // shape.height)
    padded = np.zeros((heights * shape.height, weight.shape[1]), np.float32)
    padded[: len(weight)] = weight
    stacked = padded.reshape(heights, shape.height, -1)
    alive = np.ones(stacked.shape[::2], bool) if dense else (stacked != 0).any(1)
    columns = np.array_split(np.arange(weight.shape[1]), blocks)
    starts = np.zeros(heights, np.int64) if bases is None else bases[:: shape.height]
    builder = _Builder(stacked, alive, offsets, starts, shape)
    for part in _chunks(alive, chunks):
        for i, at in enumerate(columns):
            builder.block(part, at, edge=i in (0, blocks - 1))
    return builder.done(int(np.count_nonzero(weight)), len(weight))


def _chunks(alive: NDArray[np.bool_], chunks: int) -> list[_Ints]:
    """Rows dealt out so that each part has about as many weights: the long rows first, in turns there and back."""
    order = np.argsort(-alive.sum(1), kind="stable")
    turn = np.arange(len(order)) % (2 * chunks)
    turn = np.where(turn < chunks, turn, 2 * chunks - 1 - turn)
    return [np.sort(order[turn == c]) for c in range(chunks)]


class _Builder:
    """Collects groups block by block."""

    def __init__(self, stacked: _Floats, alive: NDArray[np.bool_], offsets: _Ints, first: _Ints, shape: Shape) -> None:
        self.stacked, self.alive, self.offsets, self.first, self.shape = stacked, alive, offsets, first, shape
        self.starts, self.ends = [0], [0]
        self.bases: list[list[int]] = []
        self.rows: list[list[int]] = []
        self.values: list[_Floats] = []
        self.deltas: list[NDArray[np.uint16]] = []

    def block(self, part: _Ints, columns: _Ints, *, edge: bool) -> None:
        """The groups of some rows in some columns; in a middle block, rows without weights are left out."""
        at = columns[0] if len(columns) else 0
        lists = [np.flatnonzero(self.alive[r, at : at + len(columns)]) + at for r in part]
        lengths = np.array([len(n) for n in lists], np.int64)
        order = [i for i in np.argsort(-lengths, kind="stable") if edge or lengths[i]]
        for k in range(0, len(order), self.shape.rows):
            self._group([(int(part[i]), lists[i]) for i in order[k : k + self.shape.rows]])
        self.starts.append(len(self.rows))

    def _group(self, members: list[tuple[int, _Ints]]) -> None:
        lanes = [self._lane(row, columns) for row, columns in members]
        steps = max(len(d) for _, _, d in lanes)
        values = np.zeros((steps, self.shape.rows, self.shape.height), np.float32)
        deltas = np.zeros((steps, self.shape.rows), np.uint16)
        for r, (_, v, d) in enumerate(lanes):
            values[: len(d), r], deltas[: len(d), r] = v, d
        missing = self.shape.rows - len(lanes)
        self.bases.append([b for b, _, _ in lanes] + [lanes[0][0]] * missing)
        self.rows.append([r for r, _ in members] + [-1] * missing)
        self.values.append(values)
        self.deltas.append(deltas)
        self.ends.append(self.ends[-1] + steps)

    def _lane(self, row: int, columns: _Ints) -> tuple[int, _Floats, NDArray[np.uint16]]:
        """Byte offset of the first input, weights ``[steps, B]`` and distances of one block of rows."""
        if not len(columns):
            return 0, np.zeros((0, self.shape.height), np.float32), np.zeros(0, np.uint16)
        places, weights = self.offsets[columns], self.stacked[row][:, columns].T
        gaps = np.diff(places)
        far = np.flatnonzero(gaps > _FAR)
        if len(far):  # a step with weight zero on the way
            hops = [(i, k) for i in far for k in range(1, int(gaps[i] - 1) // _FAR + 1)]
            at = np.array([i + 1 for i, _ in hops])
            places = np.insert(places, at, [places[i] + k * _FAR for i, k in hops])
            weights = np.insert(weights, at, 0, axis=0)
            gaps = np.diff(places)
        return int(places[0] + self.first[row]) * 4, weights, np.append(gaps, 0).astype(np.uint16)

    def done(self, nonzeros: int, count: int) -> Packed:
        rows = np.array([*self.rows, [-1] * self.shape.rows], np.int32)  # one more, since the kernel looks one ahead
        flat = [np.concatenate(a) if a else np.zeros((0, 1, 1), np.float32) for a in (self.values, self.deltas)]
        return Packed(
            np.array(self.starts, np.int32),
            np.array(self.ends, np.int32),
            np.array(self.bases, np.int32),
            np.where(rows < 0, count, rows * self.shape.height).astype(np.int32),
            flat[0].astype(np.float32).ravel(),
            flat[1].astype(np.uint16).ravel(),
            nonzeros,
        )
