"""Windows that lie two apart, read where they are: one row of results at a time, every second lane of two vectors."""

from __future__ import annotations

import math

from ...ir import Function, vector
from ...target import Target
from ..common import blank, constant, declare, every, share
from .cpu import meet

__all__ = ["FIELDS", "module"]

FIELDS = (
    "x", "x_row", "x_step", "y", "y_row", "y_step",  # bytes from channel to channel, and from one row of results to the next
    "rows", "vectors", "filled", "channels", "per", "taps", "scale", "*offsets", "*mask",  # of the last vector of a row
)  # fmt: skip


def module(target: Target, kind: str, stride: int) -> str:
    """IR of ``@pool(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        kind: ``"max"`` or ``"avg"``.
        stride: 1 or 2 pixels from one window to the next in a row.
    """
    w = target.width
    v, whole = vector(w), vector(w, "i32")
    f = Function("void @pool(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    x, y = f.at("%workspace", a["x"]), f.at("%workspace", a["y"])
    scale = f.splat(w, f.let(f"bitcast i32 {f.let('trunc i64 ' + a['scale'] + ' to i32')} to float"))
    first = constant(w, -math.inf if kind == "max" else 0.0)
    tail, last = f.load(whole, a["mask"]), f.let(f"sub i64 {a['vectors']}, 1")
    with f.loop(*share(f, a)) as channel:
        source = f.at(x, f.let(f"mul i64 {channel.index}, {a['x_row']}"))
        plane = f.at(y, f.let(f"mul i64 {channel.index}, {a['y_row']}"))
        with f.loop(0, a["filled"]) as i:
            f.store(v, "zeroinitializer", plane, i.index)
        with f.loop(0, a["rows"]) as row:
            from_row = f.at(source, f.let(f"mul i64 {row.index}, {a['x_step']}"))
            to_row = f.at(plane, f.let(f"mul i64 {row.index}, {a['y_step']}"))
            with f.loop(0, a["vectors"]) as i:
                at = f.at(from_row, f.let(f"mul i64 {i.index}, {4 * w * stride}"))
                with f.loop(0, a["taps"], carry=[(v, first)]) as tap:
                    window = f.at(at, f.load("i64", a["offsets"], tap.index, align=8))
                    found = every(f, w, stride, [f.load(v, window, k) for k in range(stride)])
                    tap.next = [meet(f, v, kind, tap.values[0], found)]
                value = tap.results[0] if kind == "max" else f.let(f"fmul {v} {tap.results[0]}, {scale}")
                is_last = f.let(f"icmp eq i64 {i.index}, {last}")
                mask = f.let(f"select i1 {is_last}, {whole} {tail}, {whole} {constant(w, -1, 'i32')}")
                f.store(v, blank(f, w, value, mask), to_row, i.index)  # what runs into the next row is written again there
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
