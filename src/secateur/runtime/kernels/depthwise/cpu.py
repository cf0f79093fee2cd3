"""Depthwise convolution: every channel's window of pixels times weights of its own.

One vector load a weight: what lies in one row of the window is read from one address, at distances that are known here.
"""

from __future__ import annotations

from ...ir import Function, vector
from ...target import Target
from ..common import blank, declare, share, tile_of
from ..pointwise.functions import activate

__all__ = ["FIELDS", "lines_and_range", "module", "weights_of"]

FIELDS = (
    "x", "x_tile", "x_row", "y", "y_tile", "y_row", "parts", "channels", "per",  # parts of the channels
    "*lines", "*weight", "*bias", "*range", "*mask",  # bytes from the pixel to each line of the window
)  # fmt: skip
_TOGETHER = 4  # vectors of sums beside nine weights


def module(target: Target, vectors: int, taps: tuple[tuple[int, int], ...], function: str = "", parameter: float = 0.0) -> str:
    """IR of ``@depthwise(job, workspace, task)``; a task is some channels of a tile.

    Args:
        target: the CPU.
        vectors: T, of a tile.
        taps: of the window: which line, and pixels to the right.
        function: of each sum before the clamp; none by default.
        parameter: of the function.
    """
    w, v, n = target.width, vector(target.width), len(taps)
    f = Function("void @depthwise(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    lines, (low, high) = lines_and_range(f, w, a, taps)
    tile, part = f.let(f"udiv i64 %task, {a['parts']}"), f.let(f"urem i64 %task, {a['parts']}")
    mask = f.at(a["mask"], f.let(f"mul i64 {tile}, {4 * w * vectors}"))
    sides = {side: tile_of(f, a, side, tile) for side in "xy"}
    with f.loop(*share(f, a, part)) as channel:
        weights, bias = weights_of(f, w, a, channel.index, n)
        x, y = (f.at(sides[side], f.let(f"mul i64 {channel.index}, {a[side + '_row']}")) for side in "xy")
        at = [f.at(x, line) for line in lines]
        for first in range(0, vectors, _TOGETHER):
            some = range(first, min(first + _TOGETHER, vectors))
            sums = dict.fromkeys(some, bias)
            for weight, (line, right) in zip(weights, taps, strict=True):
                for t in some:
                    sums[t] = f.fma(w, weight, f.load(v, at[line], t * w + right, step="float"), sums[t])
            for t, value in sums.items():
                value = activate(f, w, value, function, parameter) if function else value
                value = f.clamp(v, value, low, high)
                f.store(v, blank(f, w, value, f.load(vector(w, "i32"), mask, t)), y, t)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])


def lines_and_range(f: Function, w: int, a: dict[str, str], taps: tuple[tuple[int, int], ...]) -> tuple[list[str], list[str]]:
    """Bytes to each line of the window, and the clamp's two bounds as vectors."""
    lines = [f.load("i64", a["lines"], i, align=8) for i in range(1 + max(line for line, _ in taps))]
    return lines, [f.splat(w, f.load("float", a["range"], i)) for i in range(2)]


def weights_of(f: Function, w: int, a: dict[str, str], channel: str, n: int) -> tuple[list[str], str]:
    """A channel's weights and bias as vectors."""
    own = f.at(a["weight"], f.let(f"mul i64 {channel}, {n}"), "float")
    return [f.splat(w, f.load("float", own, i)) for i in range(n)], f.splat(w, f.load("float", a["bias"], channel))
