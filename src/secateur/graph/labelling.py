"""The labels of values, and what rules may do with them."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from .atoms import Atoms, Cells
from .views import Dims, Labels

__all__ = ["RULES", "Join", "Labelling", "Reason", "rule", "sizes"]

# A rule takes the propagation and the arguments of the operation as they stand in the graph.
RULES: dict[str, Callable[..., Any]] = {}


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a rule for the operations ``aten.<name>``, in every overload."""

    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names, f))
        return f

    return register


@dc.dataclass(frozen=True)
class Reason:
    """Why indices stay: a clause, and the node of the graph that says so.

    ``hidden`` reasons are about dimensions nobody asks about, such as the taps of a kernel.
    """

    text: str
    node: fx.Node | None = None
    hidden: bool = False


@dc.dataclass(frozen=True)
class Join:
    """An operation that made indices equal."""

    node: fx.Node
    cells: Cells


class Labelling:
    """Labels for every dimension of every value met so far, and why indices are tied or stay."""

    def __init__(self) -> None:
        self.atoms = Atoms()
        self.reasons = [Reason("", hidden=True), Reason("no smaller model is consistent with it")]
        self.dims: dict[fx.Node, Any] = {}
        self.weights: set[fx.Node] = set()  # values computed from parameters and buffers alone
        self.produced: dict[int, Cells] = {}  # label arrays of weights, by id: what a contraction gives out
        self.consumed: dict[int, Cells] = {}  # ... and what it sums over
        self.joins: list[Join] = []
        self.statistics: list[Join] = []  # norms, and the cells they average over
        # label arrays, by id, of values in which a removed index need not be zero; held, so that no id comes back
        self.nonzero: dict[int, Cells] = {}
        self.leaks: list[Join] = []  # where a weight takes in such indices
        self.node: fx.Node | None = None  # the operation at hand
        self._numbers: dict[Reason, int] = {}
        self._shapes: dict[fx.Node, tuple[int, ...]] = {}

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """The sizes of a value; an open batch size as it was in the example."""
        known = self._shapes.get(node)
        if known is None:
            known = self._shapes[node] = sizes(node.meta["val"])
        return known

    def of(self, node: fx.Node) -> Dims:
        """The labels of a value, as a list of its own."""
        return list(self.dims[node])

    def reason(self, text: str, node: fx.Node | None = None, *, hidden: bool = False) -> int:
        """The number of a reason, by default about the operation at hand."""
        why = Reason(text, node or self.node, hidden)
        if why not in self._numbers:
            self._numbers[why] = len(self.reasons)
            self.reasons.append(why)
        return self._numbers[why]

    def pin(self, labels: Labels, text: str, *, hidden: bool = False) -> int:
        """No index of these labels can be removed; the number of the reason."""
        if isinstance(labels, int):
            return labels
        why = self.reason(text, hidden=hidden)
        self.atoms.pin(labels, why)
        return why

    def join(self, a: Labels, b: Labels) -> Labels:
        """Both label the same indices from here on."""
        if isinstance(a, int) or isinstance(b, int):
            if isinstance(a, int) and isinstance(b, int):
                return a or b
            cells, why = (b, a) if isinstance(a, int) else (a, b)
            assert not isinstance(cells, int)
            assert isinstance(why, int)
            self.atoms.pin(cells, why or self.reason("broadcast over a dimension that stays"))
            return why or 1
        if a is not b and self.atoms.unify(a, b, self.reason("one index would stand for two")):
            assert self.node is not None
            self.joins.append(Join(self.node, a))
        return a

    def alive(self, labels: Labels) -> Labels:
        """The same labels, of a value that need not be zero where an index is removed."""
        if isinstance(labels, int) or id(labels) in self.nonzero:
            return labels
        labels = labels.copy()
        self.nonzero[id(labels)] = labels
        return labels

    def add_up(self, labels: Labels, text: str) -> None:
        """A sum over these indices: one that is removed must have been zero."""
        if id(labels) in self.nonzero:
            self.pin(labels, text)

    def times(self, a: Labels, b: Labels) -> Labels:
        """Joined labels of a product: zero where one of its factors is."""
        joined = self.join(a, b)
        return joined if isinstance(joined, int) or id(a) not in self.nonzero else b

    def contract(self, a: Labels, b: Labels) -> None:
        """A sum of products over indices that are the same."""
        self.join(a, b)
        if not isinstance(a, int) and id(a) in self.nonzero and id(b) in self.nonzero:
            self.pin(a, "adds up products that are not zero without it")
        elif id(a) in self.nonzero or id(b) in self.nonzero:
            assert self.node is not None
            self.leaks += [Join(self.node, x) for x in (a, b) if not isinstance(x, int)][:1]

    def consume(self, node: fx.Node, labels: Labels) -> Labels:
        """An input dimension, summed over, if ``node`` is a weight."""
        if node in self.weights and not isinstance(labels, int):
            self.consumed[id(labels)] = labels
        return labels

    def produce(self, node: fx.Node, labels: Labels) -> Labels:
        """An output dimension if ``node`` is a weight."""
        if node in self.weights and not isinstance(labels, int):
            self.produced[id(labels)] = labels
        return labels

    def cells(self, labels: Labels, n: int) -> Cells:
        """Labels as cells also where the dimension is fixed."""
        if not isinstance(labels, int):
            return labels
        cells = self.atoms.fresh(1)
        self.atoms.pin(cells, labels or 1)
        return np.repeat(cells, n)

    def broadcast(self, nodes: Sequence[fx.Node]) -> Dims:
        """Elementwise: dimensions are matched from the right, a size of 1 fits any."""
        shapes = [self.shape(x) for x in nodes]
        rank = max(map(len, shapes))
        out: Dims = [0] * rank
        for k in range(1, rank + 1):
            here = [(self.dims[x][-k], s[-k]) for x, s in zip(nodes, shapes, strict=True) if len(s) >= k and s[-k] != 1]
            for labels, _ in here:
                out[-k] = labels if labels is here[0][0] else self.join(out[-k], labels)
        return out

    def made(self, name: str, value: torch.Tensor) -> Dims:
        """A value made from nothing: any part of a constant fill is a smaller constant fill."""
        if name in ("zeros", "ones", "full", "empty", "scalar_tensor"):
            cells: Dims = [self.atoms.fresh(n) if n > 1 else 0 for n in sizes(value)]
            return cells if name == "zeros" else [self.alive(c) for c in cells]
        return [self.reason(f"made by '{name}' from positions")] * value.dim()


def sizes(value: torch.Tensor) -> tuple[int, ...]:
    """Sizes as integers, open ones as in the example; 0 for one that depends on data."""
    return tuple(s if isinstance(s, int) else int(s.node.hint or 0) for s in value.shape)
