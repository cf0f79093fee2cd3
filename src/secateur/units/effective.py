"""Multiply-adds by the parameter they use, for weights that are masked where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import fx, nn

if TYPE_CHECKING:
    from ..graph.trace import ExampleInputs

__all__ = ["macs_by_parameter"]


def macs_by_parameter(model: nn.Module, example_inputs: ExampleInputs) -> dict[str | None, float]:
    """Dense multiply-adds of one example by the name of the weight they use; None for those of two activations.

    Args:
        model: any module that can be traced.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Raises:
        ModelError: it cannot.

    Example:
        >>> macs_by_parameter(nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)), torch.zeros(16, 8))
        {'0.weight': 32.0, '1.weight': 8.0}
    """
    from ..graph.multiply_adds import RULES, arguments, shape
    from ..graph.trace import batch_size, trace

    program = trace(model, example_inputs, dynamic_batch=False)
    names = _first_names(model, program)
    batch, sums = batch_size(example_inputs), Counter[str | None]()
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        rule = RULES.get(schema.name.removeprefix("aten::")) if schema is not None else None
        if rule is None:
            continue
        for contraction in rule(node, arguments(node), shape):
            sums[next(_weights(contraction.weights, names), None)] += contraction.macs
    return {n: macs / batch for n, macs in sums.items()}


def _first_names(model: nn.Module, program: torch.export.ExportedProgram) -> dict[str, str]:
    """Placeholder → the first name of its parameter."""
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first.setdefault(id(parameter), name)
    given = program.graph_signature.inputs_to_parameters
    return {node: first.get(id(program.state_dict[name]), name) for node, name in given.items()}


def _weights(nodes: Iterable[fx.Node], names: dict[str, str]) -> Iterator[str | None]:
    """The parameters of those operands that come of one parameter and no data."""
    for node in nodes:
        seen, stack = set[fx.Node](), [node]
        while stack:
            here = stack.pop()
            if here not in seen:
                seen.add(here)
                stack += here.all_input_nodes
        sources = [n for n in seen if n.op == "placeholder"]
        if len(sources) == 1 and sources[0].name in names:
            yield names[sources[0].name]
