"""Where a number for each unit multiplies the weights of a model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.errors import ModelError
from ..core.layers import Target
from .base import Units
from .coupled import GroupUnits, Place
from .layerwise import LayerUnits

__all__ = ["Gate", "find_gates", "owners", "sizes", "squares"]


@dataclass(frozen=True, eq=False)
class Gate(ABC):
    """What the gates of some units do to one parameter.

    Args:
        parameter: its name.
    """

    parameter: str

    @abstractmethod
    def spread(self, values: Tensor) -> Tensor:
        """A number for each weight from one for each unit, differentiable; its shape broadcasts to the parameter's."""


@dataclass(frozen=True, eq=False)
class _Own(Gate):
    """On the weights that a unit of a single layer is made of."""

    units: LayerUnits
    target: Target

    def spread(self, values: Tensor) -> Tensor:
        """Spread as a mask is."""
        spread = self.units.recipe.structure.spread(values, self.target.shape)
        return self.units.oriented(self.target.name, spread)


class _Follower(Gate):
    """On a number that each unit has: its bias, its batch norm's scale and shift."""

    def spread(self, values: Tensor) -> Tensor:
        """The numbers themselves."""
        return values.flatten()


@dataclass(frozen=True, eq=False)
class _Reader(Gate):
    """On the weights that read the units of a group.

    Args:
        place: where these are.
        shape: of the parameter.
    """

    place: Place
    shape: tuple[int, ...]

    def spread(self, values: Tensor) -> Tensor:
        """1 where no unit is read."""
        size, table, there = self.shape[self.place.dim], self.place.table, self.place.there
        index = table.flatten() if there is None else table[there]
        unit = torch.arange(len(table))[:, None].expand_as(table)
        unit = unit.flatten() if there is None else unit[there]
        line = values.new_ones(size).index_put((index.to(values.device),), values[unit.to(values.device)])
        return line.view([size if d == self.place.dim else 1 for d in range(len(self.shape))])


def find_gates(units: Units) -> dict[str, tuple[Gate, ...]]:
    """The gates of every target.

    A unit that reaches over layers is gated where it is read: a batch norm would undo a gate where it is made. A unit
    of a single layer has gates on its own weights; one that takes its batch norm along, on the norm's scale and shift.

    Raises:
        ModelError: no weight reads a unit, or a batch norm would undo its gates.
    """
    if isinstance(units, GroupUnits):
        return {n: tuple(_readers(units, n)) for n in units.targets}
    assert isinstance(units, LayerUnits)  # a recipe admits no branches
    return {n: tuple(_own(units, t)) for n, t in units.targets.items()}


def _readers(units: GroupUnits, name: str) -> Iterable[Gate]:
    places = [p for p in units.places[name] if p.role in ("consumer", "both")]
    if not places:
        raise ModelError(
            f"score {units.recipe.score.name!r} gates a unit where it is read, and no weight reads the group {name!r}; use "
            f"members='consumers' of structure {units.recipe.structure.name!r}, which leaves such groups dense"
        )
    return [_Reader(p.parameter, p, tuple(units.parameter(p.parameter).shape)) for p in places]


def _own(units: LayerUnits, target: Target) -> Iterable[Gate]:
    weight = _Own(target.name, units, target)
    if not units.recipe.structure.followers:
        return [weight]
    norm = units.flow.norm_after.get(target.name.rpartition(".")[0])
    affine = [f for f in target.followers if f.rpartition(".")[0] == norm]
    if norm is not None and not affine:
        raise ModelError(
            f"the batch norm {norm!r} has no scale, and would undo a gate on the filters of {target.name!r}; pass "
            "Pruner(model, recipe, example_inputs=...), which gates them where they are read"
        )
    return [_Follower(f) for f in affine] or [weight, *(_Follower(f) for f in target.followers)]


def squares(units: Units, gates: Iterable[Gate], values: Tensor) -> Tensor:
    """Σ v·w² over the weights that a unit gates, v its number."""
    found = [(g.spread(values) * units.parameter(g.parameter).square()).sum() for g in gates]
    return torch.stack([f.to(values.device) for f in found]).sum()


def sizes(units: Units, name: str) -> Tensor | int:
    """How many parameters go with each unit of a target: those it owns and those that read it."""
    if isinstance(units, GroupUnits):
        size = units.costs[name].clone()
        for p in units.places[name]:
            if p.role == "consumer":
                shape = units.parameter(p.parameter).shape
                size += p.counts * (math.prod(shape) // shape[p.dim])
        return size
    return next(x.cost for x in units.layers(lambda n: torch.empty(0)) if x.name == name)


def owners(model: nn.Module, names: Iterable[str]) -> dict[str, list[tuple[nn.Module, str]]]:
    """For each parameter, the modules that hold it and what they call it."""
    wanted = {id(model.get_parameter(n)): n for n in names}
    found: dict[str, list[tuple[nn.Module, str]]] = {n: [] for n in wanted.values()}
    for module in model.modules():
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if id(parameter) in wanted:
                found[wanted[id(parameter)]].append((module, leaf))
    return found
