"""The mean of every channel over its pixels."""

from __future__ import annotations

from ...ir import Function, fp, vector
from ...target import Target
from ..common import blank, declare, share

__all__ = ["FIELDS", "module"]

FIELDS = ("x", "x_tile", "x_row", "y", "y_row", "tiles", "channels", "per", "scale", "*mask")


def module(target: Target, vectors: int) -> str:
    """IR of ``@mean(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        vectors: T, of a tile.
    """
    w = target.width
    v, whole = vector(w), vector(w, "i32")
    f = Function("void @mean(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    x, y = f.at("%workspace", a["x"]), f.at("%workspace", a["y"])
    scale = f.let(f"bitcast i32 {f.let('trunc i64 ' + a['scale'] + ' to i32')} to float")
    with f.loop(*share(f, a)) as channel:
        row = f.at(x, f.let(f"mul i64 {channel.index}, {a['x_row']}"))
        with f.loop(0, a["tiles"], carry=[(v, "zeroinitializer")]) as tile:
            at = f.at(row, f.let(f"mul i64 {tile.index}, {a['x_tile']}"))
            mask = f.at(a["mask"], f.let(f"mul i64 {tile.index}, {4 * w * vectors}"))
            parts = [blank(f, w, f.load(v, at, t), f.load(whole, mask, t)) for t in range(vectors)]
            while len(parts) > 1:  # in pairs, so that no long chain of additions waits
                parts = [f.let(f"fadd {v} {p}, {q}") for p, q in zip(parts[::2], parts[1::2], strict=False)] + (
                    [parts[-1]] if len(parts) % 2 else []
                )
            tile.next = [f.let(f"fadd {v} {tile.values[0]}, {parts[0]}")]
        total = f.let(f"call reassoc float @llvm.vector.reduce.fadd.v{w}f32(float {fp(0.0)}, {v} {tile.results[0]})")
        f.store("float", f.let(f"fmul float {total}, {scale}"), f.at(y, f.let(f"mul i64 {channel.index}, {a['y_row']}")))
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
