"""From the exported graph to operations: what has a kernel gets one, the rest stays with torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..core.errors import ModelError
from ..graph.trace import ExampleInputs, trace
from .graph import Form, Graph, Op, Ref, name_of, references
from .lower import lower

__all__ = ["read"]


def read(model: nn.Module, example_inputs: ExampleInputs) -> Graph:
    """Export a model and name its operations.

    Args:
        model: in evaluation mode or not: it is exported in evaluation mode and left as it was.
        example_inputs: what forward takes.

    Raises:
        ModelError: it cannot be exported, or computes something in place that others look at through a view.
    """
    return _Reader(trace(model, example_inputs)).graph


class _Reader:
    def __init__(self, program: Any) -> None:
        self.program = program
        signature = program.graph_signature
        state = {**program.state_dict, **program.constants}
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
        self.tensors = {n: state[p].detach() for n, p in names.items()}
        self.parameters = names
        self.now: dict[str, str] = {}  # what a name means after something was written into it
        self.nodes = {n.name: n for n in program.graph.nodes}
        self.first, self.batch = self._batch(signature.user_inputs)
        self.ops: list[Op] = []
        self.forms: dict[str, Form] = {}
        self.fixed: dict[str, Any] = dict(self.tensors)  # what depends on no input
        self.graph = self._read(signature)

    def _batch(self, inputs: Any) -> tuple[str, Any]:
        """The first input with a batch, and its size."""
        for name in inputs:
            value = self.nodes[name].meta.get("val") if isinstance(name, str) and name in self.nodes else None
            if isinstance(value, Tensor) and value.dim():
                return name, value.shape[0]
        raise ModelError("the model takes no tensor with a batch dimension; compile needs one")

    def _read(self, signature: Any) -> Graph:
        inputs = [n for n in signature.user_inputs if isinstance(n, str) and n in self.nodes]
        for name in inputs:
            form = self.form(self.nodes[name])
            if form:
                self.forms[name] = form
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._node(node)
        returned = next(n for n in self.program.graph.nodes if n.op == "output").args[0]
        outputs = [self.name(r) if isinstance(r, fx.Node) else None for r in returned]
        in_spec, out_spec = self.program.call_spec.in_spec, self.program.call_spec.out_spec
        used = {r for op in self.ops for r in op.inputs} | set(outputs)
        return Graph(
            inputs,
            self.ops,
            outputs,
            {n: t for n, t in self.tensors.items() if n in used},
            pytree.treespec_dumps(in_spec),
            pytree.treespec_dumps(out_spec),
            self.forms,
            [tuple(s if isinstance(s, int) else -1 for s in self.nodes[n].meta["val"].shape) for n in inputs],
        )

    def name(self, node: fx.Node) -> str:
        """What a node means at this point."""
        return self.now.get(node.name, node.name)

    def form(self, node: fx.Node) -> Form | None:
        """How kernels see a node's value; None when they do not."""
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or value.dtype != torch.float32 or not value.dim():
            return None
        first, *sizes = value.shape
        if not (first is self.batch or first == self.batch) or not all(isinstance(s, int) and s > 0 for s in sizes):
            return None
        if len(sizes) == 3:
            return Form("image", *sizes)
        if len(sizes) == 2:
            return Form("tokens", sizes[1], 1, sizes[0])
        return Form("matrix", sizes[0], 1, 1) if len(sizes) == 1 else None

    def _node(self, node: fx.Node) -> None:
        found = lower(self, node)
        if isinstance(found, Op):
            self.ops.append(found)
            if found.form:
                self.forms[found.name] = found.form
        elif isinstance(found, fx.Node):  # the same value under another name
            self.now[node.name] = self.name(found)
        else:
            self._torch(node, found)
        if _writes(node) and isinstance(node.args[0], fx.Node):
            self._written(node, node.args[0])

    def _torch(self, node: fx.Node, why: str) -> None:
        args, kwargs = self._plain(node.args), self._plain(node.kwargs)
        form = self.form(node)
        settings = {"target": name_of(node.target), "args": args, "kwargs": kwargs}
        inputs = tuple(dict.fromkeys(references((args, kwargs))))
        self.ops.append(Op("torch", node.name, inputs, form, settings, label=node.name, why=why))
        if form:
            self.forms[node.name] = form

    def _plain(self, x: Any) -> Any:
        """Arguments as lists, dicts and values that a file can hold, values of the graph by name."""
        if isinstance(x, fx.Node):
            return Ref(self.name(x))
        if isinstance(x, list | tuple):
            return [self._plain(y) for y in x]
        if isinstance(x, dict):
            return {k: self._plain(v) for k, v in x.items()}
        return x

    def _written(self, node: fx.Node, into: fx.Node) -> None:
        source = into
        while source.op == "call_function" and getattr(source.target, "is_view", False):
            source = source.args[0]  # type: ignore[assignment]
        if source is not into or into.op == "placeholder":
            raise ModelError(
                f"{node.name} writes into {source.name}, which others may look at; compile takes models that write into no "
                "input, parameter or view: use the operation without an underscore there"
            )
        self.now[into.name] = self.name(node)


def _writes(node: fx.Node) -> bool:
    """Whether an operation changes its first argument."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and any(a.alias_info is not None and a.alias_info.is_write for a in schema.arguments)
