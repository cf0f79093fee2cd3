"""Pixel by pixel: sums and activations, clamped, with the padding left at zero."""

from __future__ import annotations

from ...ir import Function, vector
from ...target import Target
from ..common import blank, declare, share, tile_of
from .functions import activate

__all__ = ["FIELDS", "module"]

FIELDS = (
    "x", "x_tile", "x_row", "z", "z_tile", "z_row", "y", "y_tile", "y_row", "tiles", "channels", "per", "*range", "*mask",
)  # fmt: skip


def module(target: Target, vectors: int, kind: str, parameter: float = 0.0) -> str:
    """IR of ``@pointwise(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        vectors: T, of a tile.
        kind: ``"clamp"`` of x, ``"add"`` of x and z, or an activation of x.
        parameter: of the activation.
    """
    w = target.width
    v, whole = vector(w), vector(w, "i32")
    f = Function("void @pointwise(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    low, high = (f.splat(w, f.load("float", a["range"], i)) for i in range(2))
    begin, end = share(f, a)
    with f.loop(0, a["tiles"]) as tile:
        x, z, y = (tile_of(f, a, side, tile.index) for side in "xzy")
        mask = f.at(a["mask"], f.let(f"mul i64 {tile.index}, {4 * w * vectors}"))
        with f.loop(begin, end) as channel:
            rows = [f.at(p, f.let(f"mul i64 {channel.index}, {a[n + '_row']}")) for n, p in (("x", x), ("z", z), ("y", y))]
            with f.loop(0, vectors) as t:
                value = f.load(v, rows[0], t.index)
                if kind == "add":
                    value = f.let(f"fadd {v} {value}, {f.load(v, rows[1], t.index)}")
                elif kind != "clamp":
                    value = activate(f, w, value, kind, parameter)
                value = f.clamp(v, value, low, high)
                f.store(v, blank(f, w, value, f.load(whole, mask, t.index)), rows[2], t.index)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
