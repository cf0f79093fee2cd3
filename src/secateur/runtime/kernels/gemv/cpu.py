"""A dense matrix times one vector: outputs in the lanes, one input broadcast at a time, weights read from end to end."""

from __future__ import annotations

import dataclasses as dc

from ...ir import Function, vector
from ...target import Target
from ..common import declare
from ..pointwise.functions import activate

__all__ = ["FIELDS", "VECTORS", "module"]

FIELDS = ("x", "y", "residual", "inputs", "outputs", "*weight", "*bias", "*range")  # weight: [block][input][8 vectors]
VECTORS = 8  # enough sums that no addition waits for the one before


def module(target: Target, function: str = "", parameter: float = 0.0) -> str:
    """IR of ``@gemv(job, workspace, task)``; a task is a block of 8 vectors of outputs.

    Args:
        target: the CPU.
        function: of each output before the clamp; none by default.
        parameter: of the function.
    """
    w, v, n = target.width, vector(target.width), VECTORS
    f = Function("void @gemv(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    x, first = f.at("%workspace", a["x"]), f.let(f"mul i64 %task, {n * w}")
    weight = f.at(a["weight"], f.let(f"mul i64 {f.let('mul i64 %task, ' + a['inputs'])}, {n * w}"), "float")
    bias = f.at(a["bias"], first, "float")
    sums = [(v, f.load(v, bias, t)) for t in range(n)]
    with f.loop(0, a["inputs"], carry=sums) as k:
        row = f.at(weight, f.let(f"mul i64 {k.index}, {n * w}"), "float")
        one = f.splat(w, f.load("float", x, k.index))
        k.next = [f.fma(w, one, f.load(v, row, t), s) for t, s in enumerate(k.values)]
    room = f.let(f"alloca [{n * w} x float], align 64")
    for t, s in enumerate(k.results):
        f.store(v, s, room, t)
    end = f.let(f"add i64 {first}, {n * w}")
    over = f.let(f"icmp sgt i64 {end}, {a['outputs']}")
    end = f.let(f"select i1 {over}, i64 {a['outputs']}, i64 {end}")
    low, high = (f.load("float", a["range"], i) for i in range(2))
    none = f.let(f"icmp slt i64 {a['residual']}, 0")
    residual, y = f.at("%workspace", a["residual"]), f.at("%workspace", a["y"])
    with f.loop(first, end) as i:
        value = f.load("float", room, f.let(f"sub i64 {i.index}, {first}"))

        def added(at: str = i.index, value: str = value) -> list[str]:
            return [f.let(f"fadd float {value}, {f.load('float', residual, at)}")]

        value = f.choose(none, ["float"], lambda value=value: [value], added)[0]  # type: ignore[misc]
        if function:
            one = f.let(f"insertelement {vector(1)} poison, float {value}, i32 0")
            value = f.let(f"extractelement {vector(1)} {activate(f, 1, one, function, parameter)}, i32 0")
        f.store("float", f.clamp("float", value, low, high), y, i.index)
    f.run("ret void")
    declared = [*declare(target).splitlines(), *declare(dc.replace(target, width=1)).splitlines()]  # the function takes one lane
    return "\n".join([*dict.fromkeys(declared), f.text()])
