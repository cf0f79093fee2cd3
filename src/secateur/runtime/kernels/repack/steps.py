"""Jobs for copies: a value in, a value out, the phases of a strided window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...graph import Form, Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, module

__all__ = ["bring", "pad", "phases", "take"]


def bring(layout: Layout, op: Op) -> list[Step]:
    """A tensor from outside into planes."""
    assert op.form is not None
    form, place = _one_row(op.form), layout.places[op.name]
    plane, row, pixel = _outside(form)
    inside: dict[str, Any] = {
        "y": place.start,
        "y_slot": -1,
        "y_example": 0,
        "y_plane": place.row_step,
        "y_row": 4 * place.space.pitch,
        "y_step": 4,
    }
    padded = place.space.plane != op.form.height * op.form.width
    return [
        _step(
            layout, op, 1 if pixel == 4 else 0, form.channels, form.height, form.width,
            filled=place.space.plane // layout.cpu.width if padded else 0,
            x=0, x_slot=layout.slots[op.name], x_example=_example(form), x_plane=plane, x_row=row, x_step=pixel, **inside,
        )
    ]  # fmt: skip


def take(layout: Layout, op: Op) -> list[Step]:
    """A value in planes out to a tensor."""
    assert op.form is not None
    form, place = _one_row(op.form), layout.places[op.inputs[0]]
    plane, row, pixel = _outside(form)
    return [
        _step(
            layout, op, 1 if pixel == 4 else 0, form.channels, form.height, form.width,
            x=place.start, x_slot=-1, x_example=0, x_plane=place.row_step, x_row=4 * place.space.pitch, x_step=4,
            y=0, y_slot=layout.slots[op.name], y_example=_example(form), y_plane=plane, y_row=row, y_step=pixel,
        )
    ]  # fmt: skip


def phases(layout: Layout, op: Op) -> list[Step]:
    """Every s-th pixel of every t-th row, from each beginning that some tap needs, into planes of its own."""
    source, place = layout.places[op.inputs[0]], layout.places[op.name]
    (sh, sw), found = op.settings["stride"], op.settings["phases"]
    wide, steps = {1: 1, 2: 2}.get(sw, 0), []
    for p, (a, b) in enumerate(found):
        second = found.index((a, 1)) if sw == 2 and b == 0 and (a, 1) in found else None
        if sw == 2 and b == 1 and (a, 0) in found:
            continue  # went with the first
        steps.append(
            _step(
                layout, op, wide, source.form.channels, -(-(source.form.height - a) // sh), -(-(source.form.width - b) // sw),
                filled=place.space.plane // layout.cpu.width, fill=op.settings["fill"],
                second=None if second is None else (second - p) * place.row_step, others=source.form.width // 2,
                x=source.start + 4 * (a * source.space.pitch + b), x_slot=-1, x_example=0,
                x_plane=source.row_step, x_row=4 * sh * source.space.pitch, x_step=4 * sw,
                y=place.start + p * place.row_step, y_slot=-1, y_example=0,
                y_plane=len(found) * place.row_step, y_row=4 * place.space.pitch, y_step=4,
            )
        )  # fmt: skip
    return steps


def pad(layout: Layout, op: Op) -> list[Step]:
    """An image in a larger one, the rest of which holds one value."""
    source, place = layout.places[op.inputs[0]], layout.places[op.name]
    top, _, left, _ = op.settings["pads"]
    start, inner, outer = 4 * (top * place.space.pitch + left), source.form, place.form
    return [
        _step(
            layout, op, 1, inner.channels, inner.height, inner.width,
            fill=op.settings["value"], frame=(outer.height, outer.width, start),
            x=source.start, x_slot=-1, x_example=0, x_plane=source.row_step, x_row=4 * source.space.pitch, x_step=4,
            y=place.start + start, y_slot=-1, y_example=0, y_plane=place.row_step, y_row=4 * place.space.pitch, y_step=4,
        )
    ]  # fmt: skip


def _outside(form: Form) -> tuple[int, int, int]:
    """Bytes from channel to channel, row to row and pixel to pixel of a tensor outside."""
    if form.kind == "image":
        return 4 * form.height * form.width, 4 * form.width, 4
    return 4, 0, 4 * form.channels


def _one_row(form: Form) -> Form:
    """A matrix of one example as one row of pixels."""
    return Form("matrix", 1, 1, form.channels) if form.kind == "matrix" and form.width == 1 else form


def _example(form: Form) -> int:
    return 0 if form.kind == "matrix" else 4 * form.channels * form.height * form.width


def _masks(rest: int, others: int, lanes: int, stride: int, frame: int) -> NDArray[np.int32]:
    """Which lanes of the last vectors of a row are read, then which of each kind are written, then which of the frame."""
    read = np.arange(stride * lanes) < max((rest - 1) * stride + 1, 2 * others)
    write = [np.arange(lanes) < n for n in (rest, others, frame)]
    return aligned(np.where(np.concatenate([read, *write]), -1, 0).astype(np.int32))


def _step(
    layout: Layout, op: Op, stride: int, channels: int, rows: int, width: int, *,
    filled: int = 0, fill: float = 0.0, second: int | None = None, others: int = 0, frame: tuple[int, int, int] | None = None,
    **at: int,
) -> Step:  # fmt: skip
    per, cpu = -(-channels // 8), layout.cpu
    rows, width = max(rows, 0), max(width, 0)
    others = others if second is not None else width
    whole = width // cpu.width if width == others else max(width - 1, 0) // cpu.width
    frame_rows, frame_width, start = frame or (0, 0, 0)
    rest = width - whole * cpu.width, 0 if second is None else others - whole * cpu.width
    masks = _masks(*rest, cpu.width, max(stride, 1), frame_width % cpu.width)
    job = make_job(
        FIELDS, rows=rows, width=width, whole=whole, filled=filled, fill=as_bits(fill), channels=channels, per=per, masks=masks,
        second=second or 0, frame=start, frame_rows=frame_rows, frame_whole=frame_width // cpu.width, **at,
    )  # fmt: skip
    address = addresses(module(cpu, stride, second is not None, frame is not None), cpu, ("repack",))["repack"]
    return Step(op, "repack" if frame is None else "pad", address, job, -(-channels // per), [masks])
