"""Windows of pixels to their largest or their sum, T vectors of pixels at a time."""

from __future__ import annotations

import math

from ...ir import Function, vector
from ...target import Target
from ..common import blank, constant, declare, share, tile_of

__all__ = ["FIELDS", "meet", "module"]

FIELDS = (
    "x", "x_tile", "x_row", "y", "y_tile", "y_row",
    "tiles", "channels", "per", "taps", "scale", "*offsets", "*mask",  # offsets in bytes from the pixel; scale for sums
)  # fmt: skip


def module(target: Target, vectors: int, kind: str) -> str:
    """IR of ``@pool(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        vectors: T, of a tile.
        kind: ``"max"`` or ``"avg"``.
    """
    w = target.width
    v, whole = vector(w), vector(w, "i32")
    f = Function("void @pool(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    scale = f.splat(w, f.let(f"bitcast i32 {f.let('trunc i64 ' + a['scale'] + ' to i32')} to float"))
    first = constant(w, -math.inf if kind == "max" else 0.0)
    begin, end = share(f, a)
    with f.loop(0, a["tiles"]) as tile:
        x, y = tile_of(f, a, "x", tile.index), tile_of(f, a, "y", tile.index)
        mask = f.at(a["mask"], f.let(f"mul i64 {tile.index}, {4 * w * vectors}"))
        with f.loop(begin, end) as channel:
            source = f.at(x, f.let(f"mul i64 {channel.index}, {a['x_row']}"))
            to = f.at(y, f.let(f"mul i64 {channel.index}, {a['y_row']}"))
            with f.loop(0, a["taps"], carry=[(v, first)] * vectors) as tap:
                at = f.at(source, f.load("i64", a["offsets"], tap.index, align=8))
                tap.next = [meet(f, v, kind, s, f.load(v, at, t)) for t, s in enumerate(tap.values)]
            for t, found in enumerate(tap.results):
                value = found if kind == "max" else f.let(f"fmul {v} {found}, {scale}")
                f.store(v, blank(f, w, value, f.load(whole, mask, t)), to, t)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])


def meet(f: Function, v: str, kind: str, a: str, b: str) -> str:
    """The larger of two vectors, or their sum; what is not a number stays so."""
    if kind == "avg":
        return f.let(f"fadd {v} {a}, {b}")
    flags = v.replace("float", "i1")
    unordered = f.let(f"fcmp uno {v} {a}, {a}")  # once not a number, always
    larger = f.let(f"fcmp ogt {v} {a}, {b}")
    keep = f.let(f"or {flags} {unordered}, {larger}")
    return f.let(f"select {flags} {keep}, {v} {a}, {v} {b}")
