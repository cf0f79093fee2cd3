"""What must be removed together: the coupled dimensions of a model."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from ..core.errors import ModelError, did_you_mean
from .trace import ExampleInputs, unwrap

if TYPE_CHECKING:
    from rich.table import Table

    from .explain import Explanation

__all__ = ["Group", "Groups", "Member", "Role", "find_groups"]

Role = Literal["producer", "carrier", "consumer", "both"]
Indices = npt.NDArray[np.int64]


@dc.dataclass(frozen=True, eq=False)
class Member:
    """One dimension of one parameter or buffer, and which of its indices each unit owns.

    Args:
        parameter: name in the model; of tied parameters, the first.
        dim: the dimension.
        role: ``producer`` (output dimension of a weight), ``consumer`` (input dimension), ``both`` (a tied weight), or
            ``carrier`` (anything that travels with the activation: biases, scales, statistics, raw parameters).
        starts: ``[units + 1]``; unit ``u`` owns ``indices[starts[u]:starts[u + 1]]``.
        indices: all indices, unit by unit.
    """

    parameter: str
    dim: int
    role: Role
    starts: Indices
    indices: Indices

    def of(self, unit: int) -> Indices:
        """The indices of one unit."""
        return self.indices[self.starts[unit] : self.starts[unit + 1]]

    @property
    def each(self) -> int:
        """Indices of one unit, at most."""
        return int(np.diff(self.starts).max())

    @property
    def run(self) -> int:
        """How many indices of a unit stand side by side, at least: its width in heads, the image's in a flatten."""
        breaks = np.flatnonzero(np.diff(self.indices) != 1) + 1
        edges = np.unique(np.concatenate([self.starts, breaks]))
        return int(np.diff(edges).min())


@dc.dataclass(frozen=True, eq=False)
class Group:
    """Units of a kind: each unit is a set of indices that can only be removed together.

    Args:
        name: module of the first producer, with a number where one module has several groups.
        units: how many.
        members: where their indices are.
        reason: why no unit can be removed; empty when they can.
        joined: the operations that tie the members, in order, as ``(operation, place in the source)``.
        statistics: norms whose mean or variance runs over the units: with fewer units it is over fewer values.
        leaks: operations whose weights take in a unit that is not zero though all that makes it is, such as ``sigmoid(0)``:
            a mask must reach these weights too, and a constant there can be folded into their bias.
        crosses: names of groups that share indices with this one; heads cross the positions inside a head.
    """

    name: str
    units: int
    members: tuple[Member, ...]
    reason: str = ""
    joined: tuple[tuple[str, str], ...] = ()
    statistics: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    crosses: tuple[str, ...] = ()

    @property
    def prunable(self) -> bool:
        """Whether units can be removed."""
        return not self.reason

    def __str__(self) -> str:
        state = "" if self.prunable else f", stays: {self.reason}"
        return f"{self.name}: {self.units} units in {len(self.members)} places{state}"

    __repr__ = __str__


@dc.dataclass(frozen=True, eq=False)
class Groups:
    """All groups of a model; prints as a table.

    Args:
        groups: in the order of the model's parameters.
        tied: other names of parameters that are one tensor, to the name used here.
        unknown: operations without a rule, as ``(operation, place in the source)``; what they touch stays.
        shapes: sizes of the parameters and buffers.
        atoms: group name to the label of each unit, as the propagation numbers them.
    """

    groups: tuple[Group, ...]
    tied: Mapping[str, str]
    unknown: tuple[tuple[str, str], ...]
    shapes: Mapping[str, tuple[int, ...]]
    atoms: Mapping[str, Indices] = dc.field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __getitem__(self, name: str) -> Group:
        for group in self.groups:
            if group.name == name:
                return group
        raise ModelError(f"no group is called {name!r}; {did_you_mean(name, [g.name for g in self.groups])}")

    @property
    def prunable(self) -> tuple[Group, ...]:
        """The groups whose units can be removed."""
        return tuple(g for g in self.groups if g.prunable)

    def of(self, parameter: str, dim: int | None = None) -> tuple[Group, ...]:
        """The groups that own indices of a parameter, in one dimension or in any."""
        name = self.tied.get(parameter, parameter)
        return tuple(g for g in self.groups if any(m.parameter == name and dim in (None, m.dim) for m in g.members))

    def explain(self, target: str) -> Explanation:
        """What a module or parameter is tied to and whether it can be pruned; see :func:`explain`."""
        from .explain import explanation

        return explanation(self, target)

    def __rich__(self) -> Table:
        from .show import table

        return table(self)

    def __str__(self) -> str:
        from ..core.show import as_text

        return as_text(self, width=150)

    __repr__ = __str__


def find_groups(model: nn.Module, example_inputs: ExampleInputs, *, as_graph: bool = False) -> Groups:
    """The coupled dimensions of any model that ``torch.export`` can trace.

    Nothing runs on data and no weight is read or copied: a model on the meta device will do. Tied parameters are one.
    An operation that is not known holds on to every dimension it touches, and is named.

    Args:
        model: any module.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        as_graph: also what only ``shrink_(..., as_graph=True)`` can cut: sizes that the Python of forward holds.

    Raises:
        ModelError: the model cannot be traced.

    Example:
        >>> import torch
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> groups = find_groups(mlp, torch.zeros(1, 4))
        >>> [(m.parameter, m.dim, m.role) for m in groups["0"].members]
        [('0.weight', 0, 'producer'), ('0.bias', 0, 'carrier'), ('2.weight', 1, 'consumer')]
        >>> groups["2"].reason
        'an output of the model'

    Source: the idea of per-index dependency, G. Fang et al., "DepGraph: Towards Any Structural Pruning", 2023; the
    propagation over ATen is this library's own.
    """
    from .analysis import analyse
    from .regraph import open_analysis

    if as_graph:
        return open_analysis(unwrap(model), example_inputs).groups
    return analyse(model, example_inputs).groups


def tied_names(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer, to the first name of the same tensor.

    Example:
        >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> b.weight = a.weight
        >>> tied_names(nn.Sequential(a, b))["1.weight"]
        '0.weight'
    """
    first: dict[object, str] = {}
    names: dict[str, str] = {}
    for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
        key: object = id(tensor)
        if tensor.device.type != "meta" and tensor.numel():
            key = (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()))
        names[name] = first.setdefault(key, name)
    return names
