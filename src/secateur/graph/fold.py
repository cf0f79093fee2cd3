"""Constants of removed units, moved into the biases of the layers that took them in."""

from __future__ import annotations

import dataclasses as dc
import math
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn

from .analysis import Analysis
from .cut import tensors
from .sinks import Owner, Sink
from .source import place

__all__ = ["Folds"]


class _Place(NamedTuple):
    """A slice of a weight, and the bias its product with a constant is added to."""

    bias: str
    weight: str
    dim: int
    column: int


@dc.dataclass
class _Constant:
    value: float
    owners: set[Owner]


class Folds:
    """What the constants of units add to biases."""

    def __init__(self) -> None:
        self._constants: dict[_Place, _Constant] = {}

    def add(self, analysis: Analysis, sink: Sink, index: int, owner: Owner, value: float) -> str:
        """Note the constant that a unit gives to a layer.

        Returns:
            Why that cannot be a bias; empty when it can.
        """
        found = _layer(analysis, sink.node)
        where = place(sink.node)
        if isinstance(found, str):
            return f"{found}{f' ({where})' if where else ''}"
        constant = self._constants.setdefault(_Place(*found, index), _Constant(value, set()))
        if not math.isclose(constant.value, value, rel_tol=1e-9):
            return f"the layer {found[0].rpartition('.')[0]!r}, which is used twice, takes in two values of it"
        constant.owners.add(owner)
        return ""

    @torch.no_grad()
    def added(self, model: nn.Module, removed: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """What removed units add to each bias, in double precision."""
        gone = {(n, int(u)) for n, units in removed.items() for u in units}
        known, total = tensors(model), defaultdict[str, Any](float)
        for at, constant in self._constants.items():
            if constant.owners & gone:
                column = known[at.weight].detach().double().select(at.dim, at.column)
                taps = tuple(range(1, column.dim()))
                total[at.bias] = total[at.bias] + constant.value * (column.sum(taps) if taps else column)
        return dict(total)


def _layer(analysis: Analysis, node: fx.Node) -> tuple[str, str, int] | str:
    """Bias, weight and the weight's input dimension of a layer; or why a constant cannot be moved into its bias."""
    name = getattr(node.target, "_opname", "")
    args = (*node.args, *[None] * 7)
    weight, bias = (args[2], args[0]) if name == "addmm" else (args[1], args[2])
    if name != "addmm" and name != "linear" and _pads(args[4]):
        return "is taken in by a convolution that pads with zeros, so that it is another value at the border"
    if bias is None:
        return "is taken in by a layer without a bias"
    names, signature = analysis.labels.names, analysis.recording.program.graph_signature
    known = {n: names.get(p, p) for n, p in signature.inputs_to_parameters.items()}
    if not isinstance(bias, fx.Node) or bias.name not in known or not isinstance(weight, fx.Node) or weight.name not in known:
        return "meets a weight or a bias that forward computes"
    users = {u for n in analysis.labels.dims for u in n.users if known.get(n.name) == known[bias.name]}
    if any(known.get(getattr(_weight_of(u), "name", "")) != known[weight.name] for u in users):
        return "is taken in by a layer whose bias others use too"
    return known[bias.name], known[weight.name], 0 if name == "addmm" else 1


def _weight_of(node: fx.Node) -> Any:
    at = {"linear": 1, "addmm": 2, "conv1d": 1, "conv2d": 1, "conv3d": 1}.get(getattr(node.target, "_opname", ""))
    return node.args[at] if at is not None else None


def _pads(padding: Any) -> bool:
    if isinstance(padding, str):
        return padding != "valid"
    return any(padding) if isinstance(padding, list | tuple) else bool(padding)
