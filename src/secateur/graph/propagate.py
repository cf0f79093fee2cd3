"""Labels for every dimension of every tensor of a traced model, by one pass over its operations."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import InputKind, OutputKind

from .labelling import RULES, Labelling, sizes
from .rules.elementwise import same, together
from .views import Dims
from .zeros import carry, settle

__all__ = ["Propagation"]


class Propagation(Labelling):
    """The labels of a traced model.

    Args:
        program: from :func:`secateur.graph.trace.trace`.
        tied: the names of parameters and buffers that are one tensor, to the first of them.
    """

    def __init__(self, program: torch.export.ExportedProgram, tied: Mapping[str, str]) -> None:
        super().__init__()
        self.names = tied
        self.parameters: dict[str, Dims] = {}
        self.sizes: dict[str, tuple[int, ...]] = {}  # of parameters and buffers
        self.unknown: list[fx.Node] = []
        self._read: set[str] = set()
        self._inputs(program, tied)
        self._walk(program.graph)
        self._outputs(program)

    def _inputs(self, program: torch.export.ExportedProgram, tied: Mapping[str, str]) -> None:
        specs = {s.arg.name: s for s in program.graph_signature.input_specs}
        for node in program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec, value = specs[node.name], node.meta.get("val")
            if not isinstance(value, torch.Tensor):
                self.dims[node] = None
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                name = tied.get(str(spec.target), str(spec.target))
                if name not in self.parameters:
                    self.parameters[name] = self._fresh(value, f"'{name}' holds no real numbers", node)
                self.sizes[name] = self.shape(node)
                self.dims[node] = self.parameters[name]
                if node.users:
                    self._read.add(name)
                self.weights.add(node)
            elif spec.kind is InputKind.USER_INPUT:
                self.dims[node] = [
                    self.reason(f"size of dimension {k} of the input '{node.name}'", node) for k in range(value.dim())
                ]
            else:
                self.dims[node] = [self.reason(f"a constant that forward makes ('{node.name}')", node)] * value.dim()

    def _fresh(self, value: torch.Tensor, otherwise: str, node: fx.Node) -> Dims:
        if not (value.is_floating_point() or value.is_complex()):
            return [self.reason(otherwise, node)] * value.dim()
        return [self.atoms.fresh(n) if n > 1 else 0 for n in sizes(value)]

    def _outputs(self, program: torch.export.ExportedProgram) -> None:
        output = next(n for n in program.graph.nodes if n.op == "output")
        self.node = output
        mutated = {
            s.arg.name: s.target
            for s in program.graph_signature.output_specs
            if s.kind in (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION)
        }
        for node in output.all_input_nodes:
            for labels, own in zip(self.dims[node] or [], self.parameters.get(str(mutated.get(node.name)), ()), strict=False):
                self.join(labels, own)
            if node.name not in mutated and isinstance(node.meta.get("val"), torch.Tensor):
                for labels in self.dims[node]:
                    self.pin(labels, "an output of the model")

        for name in self.parameters.keys() - self._read:
            for labels in self.parameters[name]:
                self.pin(labels, "forward does not use it")

    def _walk(self, graph: fx.Graph) -> None:
        for node in graph.nodes:
            if node.op == "call_function":
                self.node = node
                self.dims[node] = self._step(node)
            elif node.op == "get_attr":
                self.dims[node] = None

    def _step(self, node: fx.Node) -> Any:
        target = node.target
        if target is operator.getitem:
            whole = self.dims[node.all_input_nodes[0]]
            if node.all_input_nodes[0] in self.weights:
                self.weights.add(node)
            return whole[node.args[1]] if whole is not None else None
        value = node.meta.get("val")
        if isinstance(target, torch._ops.HigherOrderOperator):
            return self._inline(node)
        tensors = [x for x in node.all_input_nodes if isinstance(x.meta.get("val"), torch.Tensor)]
        if not _has_tensor(value):
            return self._without_result(node, tensors)
        name = getattr(target, "_opname", str(target))
        if not tensors:
            return _per_tensor(value, lambda v: self.made(name, v))
        if self.weights.issuperset(tensors):
            self.weights.add(node)
        elementwise = RULES.get(name) in (same, together)
        try:
            out = RULES[name](self, *node.args, **node.kwargs) if name in RULES else NotImplemented
            if name not in RULES and isinstance(value, torch.Tensor) and torch.Tag.pointwise in getattr(target, "tags", ()):
                elementwise, out = True, self.broadcast(tensors)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError):
            logging.getLogger(__name__).debug("the rule for %s does not fit %s", name, node.format_node(), exc_info=True)
            out = NotImplemented  # a form of the operation that its rule does not know
        if out is NotImplemented:
            return self._give_up(node, tensors)
        if elementwise and isinstance(value, torch.Tensor):
            return settle(self, node, tensors, out)
        carry(self, tensors, out)
        return out

    def _without_result(self, node: fx.Node, tensors: list[fx.Node]) -> None:
        """An operation without a tensor for a result; one that takes a number out needs all of its input."""
        if "assert" in str(node.target) or "sym_" in str(node.target):
            return
        for x in tensors:
            for labels in self.dims[x]:
                self.pin(labels, f"'{node.target}' reads its values")

    def _give_up(self, node: fx.Node, tensors: list[fx.Node]) -> Any:
        """An operation without a rule holds on to all it touches."""
        self.unknown.append(node)
        text = f"no rule for the operation '{node.target}'"
        for x in tensors:
            for labels in self.dims[x]:
                self.pin(labels, text)
        why = self.reason(text)
        return _per_tensor(node.meta["val"], lambda v: [why] * v.dim())

    def _inline(self, node: fx.Node) -> Any:
        """A subgraph under autocast or without gradients is walked as if it stood here."""
        tensors = [x for x in node.all_input_nodes if isinstance(x.meta.get("val"), torch.Tensor)]
        if not str(node.target).startswith("wrap_with_"):
            return self._give_up(node, tensors)
        at = next(k for k, a in enumerate(node.args) if isinstance(a, fx.Node) and a.op == "get_attr")
        body = node.args[at]
        assert isinstance(body, fx.Node)
        module = operator.attrgetter(str(body.target))(node.graph.owning_module)
        inner = [n for n in module.graph.nodes if n.op == "placeholder"]
        for own, outer in zip(inner, node.args[at + 1 :], strict=True):
            self.dims[own] = self.dims.get(outer) if isinstance(outer, fx.Node) else None
            if outer in self.weights:
                self.weights.add(own)
        self._walk(module.graph)
        result = next(n for n in module.graph.nodes if n.op == "output").args[0]
        return [self.dims[x] if isinstance(x, fx.Node) else None for x in result]


def _has_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (isinstance(value, list | tuple) and any(map(_has_tensor, value)))


def _per_tensor(value: Any, f: Callable[[torch.Tensor], Dims]) -> Any:
    if isinstance(value, torch.Tensor):
        return f(value)
    return [f(v) if isinstance(v, torch.Tensor) else None for v in value]
