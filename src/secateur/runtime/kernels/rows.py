"""Windows that lie two apart, read where they are: one row of results at a time, every second lane of two vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir import Function, vector
from ..target import Target
from .common import blank, constant, every, share

if TYPE_CHECKING:
    from ..graph import Op
    from ..plan import Layout

__all__ = ["FIELDS", "emit", "fields_of", "mask_of", "read"]

FIELDS = (
    "x", "x_row", "x_step", "y", "y_row", "y_step",  # bytes from channel to channel, and from one row of results to the next
    "rows", "vectors", "filled", "channels", "per", "*mask",  # of the last vector of a row
)  # fmt: skip


def emit(f: Function, target: Target, stride: int, a: dict[str, str], of: Callable[[str], Callable[[str], str]]) -> None:
    """All results of a task, which is some channels.

    Args:
        f: the kernel.
        target: the CPU.
        stride: pixels from one window to the next in a row.
        a: the job's fields.
        of: for a channel, what gives a vector of results for the address of its windows.
    """
    w, v, whole = target.width, vector(target.width), vector(target.width, "i32")
    x, y = f.at("%workspace", a["x"]), f.at("%workspace", a["y"])
    tail, last = f.load(whole, a["mask"]), f.let(f"sub i64 {a['vectors']}, 1")
    with f.loop(*share(f, a)) as channel:
        source = f.at(x, f.let(f"mul i64 {channel.index}, {a['x_row']}"))
        plane = f.at(y, f.let(f"mul i64 {channel.index}, {a['y_row']}"))
        result = of(channel.index)
        with f.loop(0, a["filled"]) as i:
            f.store(v, "zeroinitializer", plane, i.index)
        with f.loop(0, a["rows"]) as row:
            from_row = f.at(source, f.let(f"mul i64 {row.index}, {a['x_step']}"))
            to_row = f.at(plane, f.let(f"mul i64 {row.index}, {a['y_step']}"))
            with f.loop(0, a["vectors"]) as i:
                value = result(f.at(from_row, f.let(f"mul i64 {i.index}, {4 * w * stride}")))
                is_last = f.let(f"icmp eq i64 {i.index}, {last}")
                mask = f.let(f"select i1 {is_last}, {whole} {tail}, {whole} {constant(w, -1, 'i32')}")
                f.store(v, blank(f, w, value, mask), to_row, i.index)  # what runs into the next row is written again there


def read(f: Function, target: Target, stride: int, window: str) -> str:
    """What a vector of windows reads at one of their places."""
    return every(f, target.width, stride, [f.load(vector(target.width), window, k) for k in range(stride)])


def fields_of(layout: Layout, op: Op, per: int) -> dict[str, Any]:
    """The fields of a job, but for the mask.

    Args:
        layout: where values lie.
        op: with a stride.
        per: channels of a task.
    """
    source, place, down = layout.places[op.inputs[0]], layout.places[op.name], op.settings["stride"][0]
    form, lanes = place.form, layout.target.width
    return {
        "x": source.start, "x_row": source.row_step, "x_step": 4 * down * source.space.pitch,
        "y": place.start, "y_row": place.row_step, "y_step": 4 * place.space.pitch,
        "rows": form.height, "vectors": -(-form.width // lanes), "filled": place.space.plane // lanes,
        "channels": form.channels, "per": per,
    }  # fmt: skip


def mask_of(layout: Layout, op: Op) -> np.ndarray[Any, np.dtype[np.int32]]:
    """-1 where the last vector of a row of results has pixels."""
    lanes = layout.target.width
    return np.where(np.arange(lanes) <= (layout.places[op.name].form.width - 1) % lanes, -1, 0).astype(np.int32)
