"""Depthwise convolution whose windows lie two apart, read where they are."""

from __future__ import annotations

from collections.abc import Callable

from ...ir import Function, vector
from ...target import Target
from .. import rows
from ..common import declare
from ..pointwise.functions import activate
from .cpu import lines_and_range, weights_of

__all__ = ["FIELDS", "module"]

FIELDS = (*rows.FIELDS, "*lines", "*weight", "*bias", "*range")  # bytes from the first pixel to each line of a window


def module(target: Target, stride: int, taps: tuple[tuple[int, int], ...], function: str = "", parameter: float = 0.0) -> str:
    """IR of ``@depthwise(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        stride: 1 or 2 pixels from one window to the next in a row.
        taps: of the window: which line, and pixels to the right.
        function: of each sum before the clamp; none by default.
        parameter: of the function.
    """
    w, v, n = target.width, vector(target.width), len(taps)
    f = Function("void @depthwise(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    lines, (low, high) = lines_and_range(f, w, a, taps)

    def of(channel: str) -> Callable[[str], str]:
        weights, bias = weights_of(f, w, a, channel, n)

        def result(at: str) -> str:
            found = bias
            for weight, (line, right) in zip(weights, taps, strict=True):
                window = f.at(f.at(at, lines[line]), 4 * right)
                found = f.fma(w, weight, rows.read(f, target, stride, window), found)
            return f.clamp(v, activate(f, w, found, function, parameter) if function else found, low, high)

        return result

    rows.emit(f, target, stride, a, of)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
