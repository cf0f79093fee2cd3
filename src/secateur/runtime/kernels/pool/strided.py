"""Pooling whose windows lie two apart, read where they are."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...ir import Function, vector
from ...target import Target
from .. import rows
from ..common import constant, declare
from .cpu import meet

__all__ = ["FIELDS", "module"]

FIELDS = (*rows.FIELDS, "taps", "scale", "*offsets")


def module(target: Target, kind: str, stride: int) -> str:
    """IR of ``@pool(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        kind: ``"max"`` or ``"avg"``.
        stride: 1 or 2 pixels from one window to the next in a row.
    """
    w, v = target.width, vector(target.width)
    f = Function("void @pool(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    scale = f.splat(w, f.let(f"bitcast i32 {f.let('trunc i64 ' + a['scale'] + ' to i32')} to float"))
    first = constant(w, -math.inf if kind == "max" else 0.0)

    def of(channel: str) -> Callable[[str], str]:
        return result

    def result(at: str) -> str:
        with f.loop(0, a["taps"], carry=[(v, first)]) as tap:
            found = rows.read(f, target, stride, f.at(at, f.load("i64", a["offsets"], tap.index, align=8)))
            tap.next = [meet(f, v, kind, tap.values[0], found)]
        return tap.results[0] if kind == "max" else f.let(f"fmul {v} {tap.results[0]}, {scale}")

    rows.emit(f, target, stride, a, of)
    f.run("ret void")
    return "\n".join([declare(target), f.text()])
