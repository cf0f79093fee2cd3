"""Layer norm over channels, for T vectors of pixels: mean, variance about it, then scale and shift."""

from __future__ import annotations

from ...ir import Function, vector
from ...target import Target
from ..common import blank, constant, declare, part_of

__all__ = ["FIELDS", "module"]

FIELDS = (
    "x", "x_tile", "x_row", "y", "y_tile", "y_row", "parts", "channels", "inverse", "eps", "*weight", "*bias", "*mask",
)  # fmt: skip


def module(target: Target, vectors: int) -> str:
    """IR of ``@layer_norm(job, workspace, task)``; a task is a tile.

    Args:
        target: the CPU.
        vectors: T, of a tile.
    """
    w = target.width
    v, whole = vector(w), vector(w, "i32")
    f = Function("void @layer_norm(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    at, place = part_of(f, a, target, vectors, "%task")
    inverse, eps = (f.splat(w, f.let(f"bitcast i32 {f.let(f'trunc i64 {a[n]} to i32')} to float")) for n in ("inverse", "eps"))

    def total(center: list[str] | None) -> list[str]:
        """The mean over channels of x, or of the square of its distance from a center."""
        with f.loop(0, a["channels"], carry=[(v, "zeroinitializer")] * vectors) as c:
            row = f.at(at["x"], f.let(f"mul i64 {c.index}, {a['x_row']}"))
            for t, s in enumerate(c.values):
                x = f.load(v, row, t)
                if center is None:
                    c.next.append(f.let(f"fadd {v} {s}, {x}"))
                else:
                    d = f.let(f"fsub {v} {x}, {center[t]}")
                    c.next.append(f.fma(w, d, d, s))
        return [f.let(f"fmul {v} {s}, {inverse}") for s in c.results]

    mean = total(None)
    spread = [f.let(f"fadd {v} {s}, {eps}") for s in total(mean)]
    one = constant(w, 1.0)
    scale = [f.let(f"fdiv {v} {one}, {f.let(f'call {v} @llvm.sqrt.v{w}f32({v} {s})')}") for s in spread]
    mask = f.at(a["mask"], place)
    with f.loop(0, a["channels"]) as c:
        row, to = (f.at(at[s], f.let(f"mul i64 {c.index}, {a[s + '_row']}")) for s in "xy")
        weight, bias = (f.splat(w, f.load("float", a[n], c.index)) for n in ("weight", "bias"))
        for t in range(vectors):
            d = f.let(f"fsub {v} {f.load(v, row, t)}, {mean[t]}")
            value = f.fma(w, f.let(f"fmul {v} {d}, {scale[t]}"), weight, bias)
            f.store(v, blank(f, w, value, f.load(whole, mask, t)), to, t)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
