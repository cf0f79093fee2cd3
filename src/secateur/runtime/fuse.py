"""Operations merged: batch norms into weights; frames, additions, activations and clamps into the layers before them."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Callable

import torch

from .graph import Graph, Op

__all__ = ["UNBOUNDED", "fuse"]

UNBOUNDED = (-math.inf, math.inf)
_PLAIN = {"range": UNBOUNDED, "function": "", "parameter": 0.0}


def fuse(graph: Graph) -> Graph:
    """Merge what one kernel can do.

    ``y = γ·(W·x + b − μ)/√(σ² + ε) + β`` is one layer with ``W' = γ/√(σ² + ε)·W`` and ``b' = β + (b − μ)·γ/√(σ² + ε)``.
    """
    graph = _everywhere(dc.replace(graph, ops=[_with_defaults(op) for op in graph.ops]), _scale)
    graph.ops = [_own_layer(op) if op.kind == "scale" else op for op in graph.ops]
    for rule in (_frame, _residual, _clamp, _activation):
        graph = _everywhere(graph, rule)
    return _alive(graph)


def _with_defaults(op: Op) -> Op:
    if op.kind != "conv":
        return op
    zeros = torch.zeros(len(op.tensors["weight"]))
    return dc.replace(op, settings={**_PLAIN, **op.settings}, tensors={"bias": zeros, **op.tensors})


def _everywhere(graph: Graph, rule: Callable[[Op, list[Op]], tuple[Op, Op] | None]) -> Graph:
    """Apply a rule that makes one operation of a maker whose value only this one takes, and this one."""
    ops: dict[str, Op] = {}
    users, returned = graph.users(), set(graph.outputs)
    for op in graph.ops:
        alone = [ops[n] for n in op.inputs if n in ops and len(users[n]) == 1 and n not in returned]
        found = rule(op, alone)
        if found:
            gone, op = found
            del ops[gone.name]
        ops[op.name] = op
        users = {**users, **{n: [op if u.name == op.name else u for u in users.get(n, [op])] for n in op.inputs}}
    return dc.replace(graph, ops=list(ops.values()))


def _scale(op: Op, makers: list[Op]) -> tuple[Op, Op] | None:
    if op.kind != "scale" or not makers or makers[0].kind != "conv" or makers[0].settings["range"] != UNBOUNDED:
        return None
    conv = makers[0]
    scale, shift = op.tensors["scale"], op.tensors["shift"]
    weight = conv.tensors["weight"].double() * scale[:, None, None, None]
    bias = conv.tensors["bias"].double() * scale + shift
    return conv, dc.replace(conv, name=op.name, tensors={"weight": weight.float(), "bias": bias.float()})


def _frame(op: Op, makers: list[Op]) -> tuple[Op, Op] | None:
    """Zeros around an image that only a convolution reads are padding of its own."""
    if op.kind != "conv" or not makers or makers[0].kind != "pad" or makers[0].settings["value"] != 0:
        return None
    pad, s = makers[0], op.settings
    above, below, left, right = pad.settings["pads"]
    (t, l), (b, r) = s["padding"], s.get("after", s["padding"])  # noqa: E741
    settings = {**s, "padding": (t + above, l + left), "after": (b + below, r + right)}
    return pad, dc.replace(op, inputs=pad.inputs, settings=settings)


def _residual(op: Op, makers: list[Op]) -> tuple[Op, Op] | None:
    """The sum of a layer's output and something else starts from that something."""
    if op.kind != "add" or op.inputs[0] == op.inputs[1]:
        return None
    for conv in reversed(makers):
        if conv.kind == "conv" and len(conv.inputs) == 1 and conv.settings["range"] == UNBOUNDED:
            other = op.inputs[1] if op.inputs[0] == conv.name else op.inputs[0]
            return conv, dc.replace(conv, name=op.name, inputs=(*conv.inputs, other))
    return None


def _clamp(op: Op, makers: list[Op]) -> tuple[Op, Op] | None:
    if op.kind != "clamp" or not makers or makers[0].settings.get("range") != UNBOUNDED:
        return None
    maker = makers[0]
    return maker, dc.replace(maker, name=op.name, settings={**maker.settings, "range": op.settings["range"]})


def _activation(op: Op, makers: list[Op]) -> tuple[Op, Op] | None:
    """A layer's sums go through the function, and through the clamp after it, before others read them."""
    if op.kind != "activation" or not makers or makers[0].kind != "conv" or makers[0].settings["range"] != UNBOUNDED:
        return None
    return makers[0], dc.replace(makers[0], name=op.name, settings={**makers[0].settings, **op.settings})


def _own_layer(op: Op) -> Op:
    """A batch norm that follows no layer: one weight a channel."""
    settings = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": len(op.tensors["scale"]), **_PLAIN}
    tensors = {"weight": op.tensors["scale"].float()[:, None, None, None], "bias": op.tensors["shift"].float()}
    return dc.replace(op, kind="conv", settings=settings, tensors=tensors)


def _alive(graph: Graph) -> Graph:
    """Without what no output depends on."""
    wanted = {n for n in graph.outputs if n}
    kept = []
    for op in reversed(graph.ops):
        if op.name in wanted:
            wanted.update(op.inputs)
            kept.append(op)
    return dc.replace(graph, ops=kept[::-1], constants={n: t for n, t in graph.constants.items() if n in wanted})
