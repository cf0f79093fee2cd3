"""Residual branches: what can be removed so that a block becomes the identity."""

from __future__ import annotations

import dataclasses as dc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from .analysis import Analysis
from .cut import tensors
from .interpret import interpret
from .multiply_adds import RULES
from .trace import ExampleInputs

__all__ = ["LAYERS", "Branch", "additions", "find_branches"]

LAYERS = "layers"
"""The name under which a plan lists branches, by their place in ``find_branches``."""

_ADDS = frozenset({"add", "add_"})


@dc.dataclass(frozen=True)
class Branch:
    """F in x + F(x): without it, x passes unchanged.

    Args:
        name: the module that holds it; where one module holds several, the layer that makes its result.
        parameters: names of the parameters that F alone uses.
        module: the innermost module that holds all of F.
        macs: multiply-adds of F for one example.
    """

    name: str
    parameters: tuple[str, ...]
    module: str
    macs: int = 0


def find_branches(model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis) -> tuple[Branch, ...]:
    """The residual branches of a model that are zero when their parameters are.

    A branch is an operand of an addition that is computed from the other operand, by at least one layer with weights.
    Projections on the shortcut, and blocks that change the size, have no such addition.

    Example:
        >>> from secateur.graph.analysis import analyse
        >>> class Block(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 4)
        ...     def forward(self, x):
        ...         return x + self.b(self.a(x).relu())
        >>> model, x = nn.Sequential(Block(), nn.Linear(4, 2)), torch.randn(2, 4)
        >>> find_branches(model, x, analyse(model, x))
        (Branch(name='0', parameters=('0.a.weight', '0.a.bias', '0.b.weight', '0.b.bias'), module='0', macs=64),)
    """
    found = list(_branches(analysis))
    known = tensors(model)
    zeros = {p: torch.zeros_like(known[p]) for _, b in found for p in b.parameters}
    silent: set[fx.Node] = set()
    ends = {end for end, _ in found}
    if found and not any(t.is_meta for t in known.values()):

        def watch(node: fx.Node, value: Any) -> None:
            if node in ends and isinstance(value, Tensor) and not bool(value.any()):
                silent.add(node)

        interpret(analysis, model, example_inputs, zeros, watch=watch)
        found = [f for f in found if f[0] in silent]
    return tuple(b for _, b in found)


def additions(analysis: Analysis) -> tuple[Branch, ...]:
    """The same without trying whether they are zero when their parameters are."""
    return tuple(b for _, b in _branches(analysis))


def _branches(analysis: Analysis) -> list[tuple[fx.Node, Branch]]:
    """The branches, each with the operation that ends it."""
    macs = analysis.macs_by_node(analysis.gone({}))
    found = []
    for end, inside, own, layers in _ends(analysis):
        last = _module(layers[-1]) if layers else ""
        found.append((end, last, Branch(_common(inside), own, _common(inside), sum(macs.get(n, 0) for n in inside))))
    several = Counter(b.module for *_, b in found)
    return [(end, dc.replace(b, name=last) if several[b.module] > 1 else b) for end, last, b in found]


def _ends(analysis: Analysis) -> Iterator[tuple[fx.Node, set[fx.Node], tuple[str, ...], list[fx.Node]]]:
    """For each branch the operation that ends it, all its operations, its own parameters, and its layers in order."""
    program = analysis.recording.program
    place = {node: k for k, node in enumerate(program.graph.nodes)}
    parameters, names = program.graph_signature.inputs_to_parameters, analysis.labels.names
    for node in program.graph.nodes:
        if getattr(node.target, "_opname", "") not in _ADDS or len(node.args) < 2:
            continue
        for shortcut, end in (node.args[:2], node.args[1::-1]):
            if not isinstance(shortcut, fx.Node) or not isinstance(end, fx.Node) or place[shortcut] >= place[end]:
                continue
            if analysis.labels.shape(shortcut) != analysis.labels.shape(end):
                continue
            inside = _between(shortcut, end, place)
            used = {x for n in inside for x in n.all_input_nodes if x.name in parameters}
            own = [x for x in sorted(used, key=lambda x: place[x]) if set(x.users) <= inside]
            contractions = [n for n in inside if getattr(n.target, "_opname", "") in RULES]
            alone = all(names[parameters[x.name]] == parameters[x.name] for x in own)
            if contractions and own and alone:
                layers = sorted((n for n in contractions if used & set(n.all_input_nodes)), key=lambda n: place[n])
                yield end, inside, tuple(parameters[x.name] for x in own), layers


def _between(start: fx.Node, end: fx.Node, place: dict[fx.Node, int]) -> set[fx.Node]:
    """The operations on the way from one value to a later one; empty when it does not depend on it."""
    back, todo = set(), [end]
    while todo:
        node = todo.pop()
        if node not in back and place[node] > place[start] and node.op == "call_function":
            back.add(node)
            todo += node.all_input_nodes
    onward = {start}
    for node in sorted(back, key=lambda n: place[n]):
        if onward & set(node.all_input_nodes):
            onward.add(node)
    return onward - {start} if end in onward else set()


def _module(node: fx.Node) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _common(nodes: set[fx.Node]) -> str:
    """The innermost module that holds all of these operations."""
    paths = [_module(n).split(".") for n in nodes if n.meta.get("nn_module_stack")]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
