"""A traced model with its coupled groups, and what any choice of units would leave of it."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable, Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from ..core.errors import ModelError
from .collect import collect
from .groups import Groups, tied_names
from .labelling import sizes
from .multiply_adds import RULES, arguments
from .propagate import Propagation
from .reader import Gone, Reader
from .trace import ExampleInputs, unwrap
from .views import Dims, Labels

if TYPE_CHECKING:
    from .provenance import Requirement
    from .record import Recording

__all__ = ["Analysis", "Gone", "Removed", "analyse"]

Removed: TypeAlias = Mapping[str, Any]
"""Group name → units to remove: indices, or one boolean a unit."""


@dc.dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of a traced model.

    Args:
        recording: the traced program and the Python calls that made it.
        labels: the labels of all its values.
        groups: the coupled groups.
        batch: examples in the traced inputs.
        requirements: the sizes that forward computes.
    """

    recording: Recording
    labels: Propagation
    groups: Groups
    batch: int
    requirements: tuple[Requirement, ...] = ()

    @cached_property
    def reader(self) -> Reader:
        """Reads the calls of forward with the labels of what they take and give."""
        return Reader(self.recording, self.labels)

    def units(self, removed: Removed) -> dict[str, npt.NDArray[np.int64]]:
        """A choice of units as sorted indices, checked.

        Raises:
            ModelError: there is no such group or unit, or the group stays.
        """
        chosen = {}
        for name, units in removed.items():
            group = self.groups[name]
            picked = np.unique(_indices(name, units, group.units))
            if picked.size and not group.prunable:
                raise ModelError(f"no unit of {name!r} can be removed: {group.reason}")
            if picked.size and (picked[0] < 0 or picked[-1] >= group.units):
                raise ModelError(f"{name!r} has units 0 to {group.units - 1}; asked to remove {picked.tolist()[:8]}")
            if picked.size:
                chosen[name] = picked
        return chosen

    def gone(self, removed: Removed) -> Gone:
        """One boolean an atom: whether a choice of units removes it."""
        gone = np.zeros(len(self.labels.atoms), bool)
        for name, units in self.units(removed).items():
            gone[self.groups.atoms[name][units]] = True
        return gone

    def keep(self, labels: Labels, n: int, gone: Gone) -> npt.NDArray[np.int64]:
        """Indices of a labelled dimension of size ``n`` that are left."""
        if isinstance(labels, int):
            return np.arange(n)
        return np.flatnonzero(self.reader.stays(labels, gone))

    def shape(self, node: fx.Node, gone: Gone) -> tuple[int, ...]:
        """The shape of a node's (first) result when units are gone."""
        dims, value = self.labels.dims.get(node), node.meta.get("val")
        if isinstance(value, list | tuple):
            dims, value = (dims[0] if dims else None), value[0]
        if not isinstance(value, torch.Tensor):
            return ()
        return self.sizes(dims, sizes(value), gone)

    def sizes(self, dims: Dims | None, dense: Iterable[int], gone: Gone) -> tuple[int, ...]:
        """Sizes of labelled dimensions when units are gone."""
        if dims is None:
            return tuple(dense)
        return tuple(len(self.keep(labels, n, gone)) for labels, n in zip(dims, dense, strict=True))

    def shapes(self, removed: Removed) -> dict[str, tuple[int, ...]]:
        """Sizes of all parameters and buffers of the smaller model, under every name a tensor has."""
        return self.shapes_of(self.gone(removed))

    def shapes_of(self, gone: Gone) -> dict[str, tuple[int, ...]]:
        """The same for labels that are gone; under every name a tensor has."""
        first = {n: self.sizes(dims, self.labels.sizes[n], gone) for n, dims in self.labels.parameters.items()}
        return {name: first[one] for name, one in self.labels.names.items() if one in first}

    def params(self, removed: Removed) -> int:
        """How many parameters the smaller model has."""
        trained, names = set(self.recording.program.graph_signature.parameters), self.labels.names
        return sum(prod(shape) for name, shape in self.shapes(removed).items() if name in trained and names[name] == name)

    def macs(self, removed: Removed) -> int:
        """How many multiply-adds the smaller model needs for one example."""
        return sum(self.macs_by_node(self.gone(removed)).values())

    def macs_by_node(self, gone: Gone) -> dict[fx.Node, int]:
        """The same, contraction by contraction."""
        counts = {}
        for node in self.labels.dims:
            schema = getattr(node.target, "_schema", None)
            rule = RULES.get(schema.name.removeprefix("aten::")) if schema is not None else None
            if node.op == "call_function" and rule is not None:
                found = rule(node, arguments(node), lambda n: self.shape(n, gone))
                counts[node] = (2 * sum(c.macs for c in found) + self.batch) // (2 * self.batch)
        return counts


def analyse(model: nn.Module, example_inputs: ExampleInputs) -> Analysis:
    """Trace a model and find its coupled groups.

    Nothing runs on data and no weight is read or copied.

    Args:
        model: any module.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Raises:
        ModelError: the model cannot be traced.

    Example:
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> analysis = analyse(mlp, torch.zeros(1, 4))
        >>> analysis.macs({}), analysis.macs({"0": [0, 1, 2, 3]}), analysis.params({"0": [0, 1, 2, 3]})
        (48, 24, 30)
    """
    from .provenance import requirements
    from .record import record

    model = unwrap(model)
    recording, tied = record(model, example_inputs), tied_names(model)
    labels = Propagation(recording.program, tied)
    sizes = tuple(requirements(recording, labels))
    return Analysis(recording, labels, collect(labels, tied), recording.batch, sizes)


def _indices(name: str, units: Any, count: int) -> npt.NDArray[np.int64]:
    """Units as indices; a mask has one boolean a unit."""
    if isinstance(units, torch.Tensor):
        units = units.detach().cpu().numpy()
    array = np.asarray(list(units) if isinstance(units, set | frozenset | range) else units)
    if array.dtype == bool and array.shape != (count,):
        raise ModelError(f"{name!r} has {count} units; a mask of {array.size} booleans was given")
    if array.dtype != bool and array.size and not np.issubdtype(array.dtype, np.integer):
        raise ModelError(f"the units of {name!r} must be indices or booleans; {str(units)[:60]} holds no numbers of units")
    return np.flatnonzero(array) if array.dtype == bool else array.astype(np.int64).ravel()
