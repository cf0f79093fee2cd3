"""The calls of forward side by side with the operations they made, and what is left of each dimension."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils import _pytree as pytree

from .atoms import Cells
from .propagate import Propagation
from .record import Recording, Shape
from .sizes import Axis
from .views import Dims, Labels

__all__ = ["Gone", "Reader", "given"]

Gone: TypeAlias = npt.NDArray[np.bool_]
"""One boolean an atom: whether a choice of units removes it."""


class Reader:
    """Reads a recording whose labels are known; it remembers what it has read, so the labels must not change any more.

    Args:
        recording: the traced run.
        labels: the labels of its graph.
    """

    def __init__(self, recording: Recording, labels: Propagation) -> None:
        self.recording, self.labels = recording, labels
        self._rows: dict[int, tuple[Cells, Cells]] = {}  # by id; the key is held, so that no id comes back
        self._outputs: dict[int, list[Dims | None] | None] = {}

    def rows(self, labels: Cells) -> Cells:
        """The atoms of each index: ``[n, k]``, filled up with 0."""
        known = self._rows.get(id(labels))
        if known is None:
            known = self._rows[id(labels)] = labels, self.labels.atoms.resolve(labels, pinned=True)
        return known[1]

    def stays(self, labels: Cells, gone: Gone) -> Gone:
        """One boolean an index: whether it is left."""
        return np.asarray(np.logical_not(gone[self.rows(labels)].any(axis=1)))

    def left(self, labels: Labels, dense: int, gone: Gone) -> int:
        """How many indices of a dimension of size ``dense`` are left."""
        return dense if isinstance(labels, int) else int(self.stays(labels, gone).sum())

    def dims(self, source: Any) -> Dims | None:
        """The labels of a tensor that a call, ``(number, output)``, returned, or of a parameter."""
        p = self.labels
        if isinstance(source, str):
            return p.parameters.get(p.names.get(source, source))
        if source is None:
            return None
        number, k = source
        found = self.outputs(number)
        return found[k] if found is not None and k < len(found) else None

    def outputs(self, number: int) -> list[Dims | None] | None:
        """The labels of what a call returned; of one that made no operation, of what it was given."""
        if number not in self._outputs:
            self._outputs[number] = self._read(number)
        return self._outputs[number]

    def _read(self, number: int) -> list[Dims | None] | None:
        call, nodes = self.recording.calls[number], self.recording.nodes.get(number, [])
        if not nodes:
            first = next((x for x in call.args if isinstance(x, Shape)), None)
            return [self.dims(first.source)] if first is not None and call.outputs == (tuple(first),) else None
        values = [(n.meta.get("val"), self.labels.dims.get(n)) for n in reversed(nodes)]
        for value, dims in values:
            if not isinstance(value, list | tuple) or dims is None or len(value) < 2:
                continue
            if tuple(tuple(v.shape) for v in value if isinstance(v, torch.Tensor)) == call.outputs:
                return list(dims)
        shapes = [(tuple(v.shape), d) for v, d in values if isinstance(v, torch.Tensor) and d is not None]
        return [next((d for s, d in shapes if s == shape), None) for shape in call.outputs]

    def of_axis(self, axis: Axis) -> Labels:
        """The labels of a dimension whose size Python read; 0 when it is not known."""
        dims = self.dims(axis.source)
        return 0 if dims is None or axis.dim >= len(dims) else dims[axis.dim]

    def shapes(self, gone: Gone) -> dict[int, list[tuple[int, ...]]]:
        """For each call the shapes it must return, where that is known."""
        found = {}
        for number, call in enumerate(self.recording.calls):
            outputs = self.outputs(number)
            if outputs is not None and all(d is not None for d in outputs):
                pairs = zip(outputs, call.outputs, strict=True)
                found[number] = [tuple(self.left(x, n, gone) for x, n in zip(d or (), s, strict=True)) for d, s in pairs]
        return found

    def of_call(self, number: int) -> list[Cells]:
        """The labels of all that a call takes and gives."""
        call = self.recording.calls[number]
        taken = [self.dims(x.source) for x in given(call.args, call.kwargs)]
        return [x for dims in [*taken, *(self.outputs(number) or [])] for x in arrays(dims)]


def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Shape]:
    """The tensors among the arguments of a call."""
    return [x for x in pytree.tree_leaves((args, kwargs), is_leaf=lambda x: isinstance(x, Shape)) if isinstance(x, Shape)]


def arrays(dims: Any) -> Iterator[Cells]:
    """The label arrays of a value, or of several."""
    if isinstance(dims, np.ndarray):
        yield dims
    elif isinstance(dims, list):
        for d in dims:
            yield from arrays(d)
