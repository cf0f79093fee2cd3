"""Where units end: operations that take them in and give out something else."""

from __future__ import annotations

import dataclasses as dc
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
from torch import Tensor, fx

from .analysis import Analysis
from .multiply_adds import RULES
from .reader import arrays

__all__ = ["Owner", "Sink", "find_sinks"]

Owner: TypeAlias = tuple[str, int]
"""Group name and unit."""

_CONV = ("conv1d", "conv2d", "conv3d")
_PICKS = frozenset({"slice", "narrow", "select", "split", "split_with_sizes", "chunk", "tensor_split", "unbind", "index",
                    "index_select", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes", "gather", "embedding",
                    "as_strided"})  # fmt: skip


@dc.dataclass(frozen=True, eq=False)
class Sink:
    """A dimension of an operand whose indices are not in the result.

    Args:
        node: the operation.
        operand: the operand.
        dim: the dimension.
        indices: ``(index, owner)`` of the units that are asked about.
        weighted: they meet a weight.
        foldable: a constant there only adds to what comes out: to a bias, if there is one.
    """

    node: fx.Node
    operand: fx.Node
    dim: int
    indices: tuple[tuple[int, Owner], ...]
    weighted: bool
    foldable: bool


def find_sinks(analysis: Analysis, owners: Mapping[int, Owner]) -> dict[fx.Node, list[Sink]]:
    """The sinks of some units, by operation.

    Args:
        analysis: of the model.
        owners: atom → unit.
    """
    found: dict[fx.Node, list[Sink]] = defaultdict(list)
    wanted = np.array(sorted(owners))
    p, reader = analysis.labels, analysis.reader
    for node in p.dims:
        name = getattr(node.target, "_opname", "")  # of ATen: a subgraph's operations are here themselves
        if node.op != "call_function" or not name or name in _PICKS:  # what is not picked has no effect there
            continue
        out = [reader.rows(x).ravel() for x in arrays(p.dims[node])]
        ending = np.setdiff1d(wanted, np.concatenate([np.zeros(0, np.int64), *out]))
        for operand, dim, rows in _operands(analysis, node):
            at, column = np.nonzero(np.isin(rows, ending))
            if len(at):
                indices = tuple((int(i), owners[int(rows[i, k])]) for i, k in zip(at, column, strict=True))
                found[node].append(Sink(node, operand, dim, indices, *_kind(analysis, node, operand, dim)))
    return found


def _operands(analysis: Analysis, node: fx.Node) -> Iterator[tuple[fx.Node, int, np.ndarray]]:
    """Labelled dimensions of what an operation is given; of weights only where all it is given are weights."""
    p = analysis.labels
    for x in node.all_input_nodes:
        if not isinstance(x.meta.get("val"), Tensor) or (x in p.weights and node not in p.weights):
            continue
        for dim, labels in enumerate(p.dims.get(x) or ()):
            if not isinstance(labels, int):
                yield x, dim, analysis.reader.rows(labels)


def _kind(analysis: Analysis, node: fx.Node, operand: fx.Node, dim: int) -> tuple[bool, bool]:
    """Whether the indices meet a weight, and whether a constant there would be a bias."""
    weights, name = analysis.labels.weights, getattr(node.target, "_opname", "")
    rank, args = len(analysis.labels.shape(operand)), node.args
    weighted = name in RULES and any(x in weights for x in node.all_input_nodes) and operand not in weights
    if not weighted:
        return False, False
    if name == "linear":
        return True, operand is args[0] and dim == rank - 1
    if name == "addmm":
        return True, operand is args[1] and dim == rank - 1
    if name in _CONV:
        groups = args[6] if len(args) > 6 else 1
        return True, operand is args[0] and dim == rank - int(name[-2]) - 1 and bool(groups == 1)
    return True, False
