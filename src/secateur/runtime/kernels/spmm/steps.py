"""Jobs for layers with weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...graph import Op
from ...jit import addresses
from ...job import make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, Shape, module
from .pack import pack

__all__ = ["Choice", "matrix", "offsets_of", "spmm"]


@dataclass(frozen=True)
class Choice:
    """How one layer is computed.

    Attributes:
        shape: what is unrolled.
        blocks: parts of the columns.
        chunks: parts of the rows that are tasks of their own.
        dense: zeros are computed with.
        by_chunk: tasks go through all tiles of a chunk before the next chunk.
    """

    shape: Shape
    blocks: int = 1
    chunks: int = 1
    dense: bool = False
    by_chunk: bool = False

    def __str__(self) -> str:
        s = self.shape
        return f"{self.kind}, {s.rows}·{s.height}·{s.vectors} vectors" + (
            f", {self.blocks} column blocks" if self.blocks > 1 else ""
        )

    @property
    def kind(self) -> str:
        """``dense``, ``sparse``, or the blocks whose zeros are skipped."""
        s = self.shape
        return "dense" if self.dense else "sparse" if s.height * s.columns == 1 else f"{s.height}×{s.columns} blocks"

    def to_list(self) -> list[int]:
        """As whole numbers, for files."""
        s = self.shape
        return [s.rows, s.height, s.vectors, s.columns, self.blocks, self.chunks, int(self.dense), int(self.by_chunk)]

    @classmethod
    def of(cls, numbers: object) -> Choice:
        """The choice that ``to_list`` wrote.

        Raises:
            ValueError: it wrote something else.

        Example:
            >>> Choice.of(Choice(Shape(1, 4, 3), blocks=2).to_list())
            Choice(shape=Shape(rows=1, height=4, vectors=3, columns=1), blocks=2, chunks=1, dense=False, by_chunk=False)
        """
        if not isinstance(numbers, list) or len(numbers) != 8 or not all(type(n) is int and 0 <= n < 1 << 20 for n in numbers):
            raise ValueError(f"a choice is 8 whole numbers; got {numbers!r}")
        *shape, blocks, chunks, dense, by_chunk = numbers
        return cls(Shape(*shape), blocks, chunks, bool(dense), bool(by_chunk))


def matrix(op: Op) -> NDArray[np.float32]:
    """A layer's weights as a matrix, ``[outputs, inputs of a group · taps]``."""
    weight = op.tensors["weight"].numpy()
    return weight.reshape(len(weight), -1)


def spmm(layout: Layout, op: Op, choice: Choice, why: str = "") -> list[Step]:
    """One layer: convolution or linear, with bias, residual, activation and clamp."""
    source, place, weight = layout.places[op.inputs[0]], layout.places[op.name], matrix(op)
    residual = layout.places[op.inputs[1]] if len(op.inputs) == 2 else None
    offsets, bases = offsets_of(layout, op)
    packed = pack(
        weight, offsets, choice.shape, bases=bases, chunks=choice.chunks, blocks=choice.blocks, dense=choice.dense
    )  # fmt: skip
    bias = aligned(np.append(op.tensors["bias"].numpy(), np.zeros(choice.shape.height, np.float32)))
    limits = aligned(np.array(op.settings["range"], np.float32))
    arrays = {n: aligned(getattr(packed, n)) for n in ("starts", "ends", "bases", "rows", "values", "deltas", "inner")}
    mask = None if place.panels else layout.mask(op.name)
    parts = place.space.vectors // choice.shape.vectors
    tiles = place.space.tiles * parts
    job = make_job(
        FIELDS,
        x=source.start, x_tile=source.tile_step, y=place.start, y_tile=place.tile_step, y_row=place.row_step,
        residual=residual.start if residual else -1, r_tile=residual.tile_step if residual else 0,
        r_row=residual.row_step if residual else 0, lines=_lines(layout, op, choice), parts=parts, tiles=tiles,
        chunks=choice.chunks, blocks=choice.blocks,
        by_chunk=choice.by_chunk, count=len(weight), bias=bias, mask=mask, range=limits, **arrays,
    )  # fmt: skip
    function = op.settings["function"]
    text = module(layout.target, choice.shape, function, op.settings["parameter"], f"i{8 * packed.rows.itemsize}")
    address = addresses(text, layout.target, ("spmm",))["spmm"]
    return [
        Step(
            op, str(choice) + (f", {function}" if function else ""), address, job, tiles * choice.chunks,
            [bias, limits, mask, arrays], why, 1 - packed.nonzeros / max(weight.size, 1), packed.nbytes,
            by_tile=not choice.by_chunk,
        )
    ]  # fmt: skip


def _lines(layout: Layout, op: Op, choice: Choice) -> int:
    """Cache lines of the next panel that every group fetches: all of it in one task; none in planes, or not yet made."""
    source, shape = layout.places[op.inputs[0]], choice.shape
    if not source.panels or choice.dense or choice.by_chunk or layout.chained(op):
        return 0
    parts = source.space.vectors // shape.vectors
    groups = max(1, len(op.tensors["weight"]) // (shape.rows * shape.height * choice.chunks))
    return -(-source.tile_step // (64 * groups * parts))


def offsets_of(layout: Layout, op: Op) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Floats from a tile's start to each column's input, and what each row adds to them."""
    source, taps, phases = layout.places[op.inputs[0]], op.settings["taps"], op.settings["phases"]
    row, pitch = source.row_step // 4, source.space.pitch
    channels, outputs, groups = op.tensors["weight"].shape[1], len(op.tensors["weight"]), op.settings["groups"]
    window = np.array([t.phase * row + t.down * pitch + t.right for t in taps], np.int64)
    columns = np.arange(channels, dtype=np.int64)[:, None] * phases * row + window
    group = np.arange(outputs, dtype=np.int64) // (outputs // groups)
    return columns.ravel(), group * channels * phases * row
