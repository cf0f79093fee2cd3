"""Multiply-adds of a model, counted on its traced graph, dense and for what is left of its weights.

Definition (Blalock et al. 2020): one multiply-add = 1; only contractions count (linear, convolution, matrix products,
attention, recurrent cells), not biases, activations, normalisation or pooling.
"""

from __future__ import annotations

import dataclasses as dc
import operator
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ..graph.multiply_adds import RULES, arguments, looks_like_contraction, shape
from ..graph.trace import ExampleInputs, batch_size, trace, unwrap

__all__ = ["Macs", "OpMacs", "count_macs"]


@dataclass(frozen=True)
class OpMacs:
    """Multiply-adds of one operation of the graph, for one example.

    Attributes:
        name: the parameter that is its weight, else ``module:operation``.
        op: the ATen operation.
        parameter: the parameter that is its weight, None when both operands are computed from data.
        dense: multiply-adds with every weight present.
        effective: dense × nnz(W) / |W|; dense when there is no parameter.
        values: numbers it takes from data and gives on: activations in and out.
    """

    name: str
    op: str
    parameter: str | None
    dense: int
    effective: int
    values: int = 0


@dataclass(frozen=True)
class Macs:
    """Multiply-adds of a model for one example.

    Attributes:
        batch: how many examples the traced inputs held; every count is divided by it.
        ops: one entry a contraction, in order of execution; a tied weight has one entry a use.
        uncounted: operations that look like contractions and have no rule, so are counted as 0.
    """

    batch: int
    ops: tuple[OpMacs, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Dense multiply-adds of one example."""
        return sum(op.dense for op in self.ops)

    @property
    def effective(self) -> int:
        """Multiply-adds of one example that meet a non-zero weight."""
        return sum(op.effective for op in self.ops)

    @property
    def values(self) -> int:
        """Activations of one example that enter or leave a contraction."""
        return sum(op.values for op in self.ops)

    def by_name(self) -> dict[str, tuple[int, int]]:
        """Dense and effective multiply-adds by parameter name or ``module:operation``, uses summed."""
        sums: dict[str, tuple[int, int]] = {}
        for op in self.ops:
            dense, effective = sums.get(op.name, (0, 0))
            sums[op.name] = (dense + op.dense, effective + op.effective)
        return sums


def count_macs(model: nn.Module, example_inputs: ExampleInputs, *, batch: int | None = None, warn: bool = True) -> Macs:
    """Count the multiply-adds of one example on the traced graph.

    A weight is followed from the parameter through views, casts, masks and anything else computed from parameters and
    buffers alone; the zeros counted are those of the value that the operation meets.

    Args:
        model: any module that ``torch.export`` can trace.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        batch: how many examples they hold; by default the first size of the first tensor.
        warn: whether operations counted as 0 are warned of; they are in ``uncounted`` anyway.

    Raises:
        ModelError: the model cannot be traced.

    Warns:
        UserWarning: an operation looks like a contraction and has no rule; it is named and counted as 0.

    Example:
        >>> macs = count_macs(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(16, 8))
        >>> macs.total, macs.by_name()
        (40, {'0.weight': (32, 32), '2.weight': (8, 8)})

    Reference:
        Blalock et al. 2020, What is the State of Neural Network Pruning?, section 6.
    """
    model = unwrap(model)
    batch = batch_size(example_inputs) if batch is None else batch
    program = trace(model, example_inputs, dynamic_batch=False)
    found = list(_walk(program.graph_module, _inputs(program, model)))
    uncounted = tuple(dict.fromkeys(f for f in found if isinstance(f, str)))
    if uncounted and warn:
        warnings.warn(f"counted as 0 multiply-adds, for want of a rule: {', '.join(uncounted)}", stacklevel=2)
    ops = (f for f in found if isinstance(f, OpMacs))
    return Macs(
        batch,
        tuple(
            dc.replace(o, dense=_per(o.dense, batch), effective=_per(o.effective, batch), values=_per(o.values, batch))
            for o in ops
        ),
        uncounted,
    )


def _per(n: int, batch: int) -> int:
    return (2 * n + batch) // (2 * batch)


@dataclass
class _Known:
    """What is known of a node without data: the parameters it comes from (None: it depends on data), and its value."""

    parameters: frozenset[str] | None
    value: Tensor | None = field(default=None, repr=False)


def _inputs(program: torch.export.ExportedProgram, model: nn.Module) -> list[_Known]:
    """Parameters by their first name, buffers and constants by value, everything else unknown."""
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first.setdefault(id(parameter), name)
    signature, known = program.graph_signature, []
    buffers = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
    for node in program.graph_module.graph.find_nodes(op="placeholder"):
        name = signature.inputs_to_parameters.get(node.name)
        if name is not None:
            value = program.state_dict[name]
            known.append(_Known(frozenset([first.get(id(value), name)]), value.detach()))
        elif node.name in buffers:
            name = buffers[node.name]
            value = program.state_dict.get(name, program.constants.get(name))
            known.append(_Known(frozenset(), value.detach() if isinstance(value, Tensor) else None))
        else:
            known.append(_Known(None))
    return known


def _walk(module: GraphModule, inputs: list[_Known]) -> Iterator[OpMacs | str]:
    """Every contraction of a graph and of the graphs inside it; a string names one without a rule."""
    given, known = iter(inputs), dict[Node, _Known]()
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(given, _Known(None))
            continue
        known[node] = _Known(_origin(node, known))
        if node.op != "call_function":
            continue
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            yield from _nested(module, node, known)
        elif isinstance(node.target, torch._ops.OpOverload):
            yield from _count(node, known)


def _nested(module: GraphModule, node: Node, known: dict[Node, _Known]) -> Iterator[OpMacs | str]:
    """The body of a wrapper (autocast, no_grad) is counted in place; a branch or a loop is named when it holds any."""
    arguments = [a for a in node.args if isinstance(a, Node)]
    bodies = {a: getattr(module, str(a.target)) for a in arguments if a.op == "get_attr"}
    bodies = {a: body for a, body in bodies.items() if isinstance(body, GraphModule)}
    name = str(node.target)
    if name.startswith("wrap") and len(bodies) == 1:
        yield from _walk(next(iter(bodies.values())), [known[a] for a in arguments if a not in bodies])
    elif "attention" in name or any(list(_walk(body, [])) for body in bodies.values()):
        yield name


def _origin(node: Node, known: Mapping[Node, _Known]) -> frozenset[str] | None:
    if node.op != "call_function":
        return None
    if isinstance(node.target, torch._ops.OpOverload):
        if node.target._schema.is_mutable or torch.Tag.nondeterministic_seeded in node.target.tags:
            return None
    elif node.target is not operator.getitem:
        return None
    origins = [known[n].parameters for n in node.all_input_nodes]
    if any(o is None for o in origins):
        return None
    return frozenset[str]().union(*(o for o in origins if o))


def _value(node: Node, known: dict[Node, _Known]) -> Tensor | None:
    """The value of a node that depends on no data, computed on the true parameters."""
    entry = known[node]
    if entry.value is None and node.op == "call_function":
        args, kwargs = map_arg((node.args, node.kwargs), lambda n: _value(n, known))
        with torch.no_grad():
            entry.value = node.target(*args, **kwargs)  # type: ignore[operator]
    return entry.value


def _count(node: Node, known: dict[Node, _Known]) -> Iterator[OpMacs | str]:
    name = node.target._schema.name  # type: ignore[union-attr]
    rule = RULES.get(name.removeprefix("aten::"))
    if rule is None:
        if looks_like_contraction(name):
            yield name
        return
    try:
        contractions = rule(node, arguments(node), shape)
    except LookupError as e:
        yield f"{name} ({e})"
        return
    values = _values(node, known)
    for i, (macs, weights) in enumerate(contractions):
        entry = _entry(node, macs, next((w for w in weights if known[w].parameters), None), known)
        yield entry if i else dc.replace(entry, values=values)


def _values(node: Node, known: dict[Node, _Known]) -> int:
    """How many numbers a contraction takes from data and gives on."""
    data = [n for n in node.all_input_nodes if known[n].parameters is None]
    found = [node.meta.get("val"), *(n.meta.get("val") for n in data)]
    tensors = [t for v in found for t in (v if isinstance(v, tuple | list) else (v,)) if isinstance(t, Tensor)]
    return sum(t.numel() for t in tensors)


def _entry(node: Node, macs: int, weight: Node | None, known: dict[Node, _Known]) -> OpMacs:
    op = node.target._schema.name.removeprefix("aten::")  # type: ignore[union-attr]
    path = next(reversed(node.meta.get("nn_module_stack", {"": ("", None)}).values()))[0]
    name, parameter, effective = f"{path}:{node.name}" if path else node.name, None, macs
    if weight is not None:
        parameters = known[weight].parameters or frozenset()
        if len(parameters) == 1:
            (parameter,) = parameters
            name = parameter
        value = _value(weight, known)
        if value is not None and value.numel() and not value.is_meta:
            effective = macs * int(torch.count_nonzero(value)) // value.numel()
    return OpMacs(name, op, parameter, macs, effective)
