"""Runs of operations that kernels do without torch in between."""

from __future__ import annotations

from dataclasses import dataclass

from .graph import Graph, Op, function_of

__all__ = ["Segment", "segments"]


_LIGHT = {"activation", "add", "clamp", "layer_norm"}


@dataclass
class Segment:
    """Operations that run one after the other on values of their own.

    Attributes:
        ops: none of them torch's.
        inputs: values from outside, in the user's layout.
        outputs: values that others take or the model returns, in the user's layout again.
        light: so little is done that copying values in and out would take longer: torch does it.
        matrix: its values are matrices, whose pixels are the examples of the batch; otherwise it runs once an example.
    """

    ops: list[Op]
    inputs: list[str]
    outputs: list[str]
    matrix: bool
    light: bool


def segments(graph: Graph) -> list[Segment | Op]:
    """The graph as segments and torch operations, in an order in which they can run."""
    runs: list[list[Op] | Op] = []
    for op in graph.ops:
        if op.kind == "torch" and runs and isinstance(runs[-1], list) and _early(op, runs[-1]):
            runs.insert(len(runs) - 1, op)  # so that the kernels before and after it run as one
        elif op.kind == "torch":
            runs.append(op)
        elif runs and isinstance(runs[-1], list) and _matrix(runs[-1][-1]) == _matrix(op):
            runs[-1].append(op)
        else:
            runs.append([op])
    found: list[Segment | Op] = []
    users = graph.users()
    for run in runs:
        if isinstance(run, Op):
            found.append(run)
            continue
        own = {op.name for op in run}
        inside = {id(op) for op in run}
        inputs = list(dict.fromkeys(n for op in run for n in op.inputs if n not in own))
        outputs = [op.name for op in run if op.name in graph.outputs or any(id(u) not in inside for u in users.get(op.name, []))]
        found.append(Segment(run, inputs, outputs, _matrix(run[0]), {op.kind for op in run} <= _LIGHT))
    return found


def _early(op: Op, run: list[Op]) -> bool:
    """Whether torch can as well do an operation before these kernels: it takes and changes nothing of theirs."""
    if {o.name for o in run} & set(op.inputs):
        return False
    schema = getattr(function_of(op.settings["target"]), "_schema", None)
    return schema is None or not any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)


def _matrix(op: Op) -> bool:
    return op.form is not None and op.form.kind == "matrix"
