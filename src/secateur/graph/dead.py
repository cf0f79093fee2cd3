"""Units that pruning has left without effect: nothing reads them, or they no longer depend on the input."""

from __future__ import annotations

import dataclasses as dc
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from .analysis import Analysis
from .cut import tensors
from .fold import Folds
from .groups import Group, Member
from .interpret import interpret
from .sinks import Owner, Sink, find_sinks
from .source import operation, place
from .trace import ExampleInputs
from .verify import changed

__all__ = ["Dead", "dead_units"]

_CHEAP = 10**8  # multiply-adds of a run that may as well be made a dozen times


@dc.dataclass(frozen=True, eq=False)
class Dead:
    """Units without effect.

    Args:
        units: group name → units.
        folds: what their constants add to the biases of the layers that take them in.
        kept: group name → why units that are zero in part, or constant, stay.
    """

    units: dict[str, np.ndarray]
    folds: Folds = dc.field(default_factory=Folds)
    kept: dict[str, str] = dc.field(default_factory=dict)


def dead_units(model: nn.Module, inputs: ExampleInputs, analysis: Analysis) -> Dead:
    """Units whose weights have been zeroed so that they can be cut.

    A unit is dead when every weight that takes it in is zero; or when the graph, run with other weights that are zero
    where the model's are, gives it the same value for all inputs. A value that is not zero is folded into a bias.
    """
    known = tensors(model)
    if any(t.is_meta for t in known.values()):
        return Dead({})
    zeros = {g.name: _Zeros.of(g, known) for g in analysis.groups.prunable}
    owners = {
        int(analysis.groups.atoms[name][u]): (name, int(u))
        for name, zero in zeros.items()
        for u in np.flatnonzero(zero.unread | zero.silent)
    }
    if not owners:
        return Dead({})
    sinks = find_sinks(analysis, owners)
    unread = {(n, int(u)) for n, zero in zeros.items() for u in np.flatnonzero(zero.unread)}
    unread -= {o for of_node in sinks.values() for s in of_node if not s.weighted for _, o in s.indices}
    probe = _Probe(model, inputs, analysis, sinks, set(owners.values()) - unread)
    dead = unread | probe.dead()
    units: dict[str, list[int]] = defaultdict(list)
    for name, unit in sorted(dead):
        units[name].append(unit)
    kept = {n: why for n, zero in zeros.items() if (why := zero.why_not(n, dead, probe.alive))}
    return Dead({n: np.array(u) for n, u in units.items()}, probe.folds, kept)


@dc.dataclass(frozen=True, eq=False)
class _Zeros:
    """Which units of a group are zero where.

    Args:
        made: weight that makes the units → one boolean a unit.
        unread: in all that takes them in.
        silent: in anything else.
    """

    made: dict[str, np.ndarray]
    unread: np.ndarray
    silent: np.ndarray

    @classmethod
    def of(cls, group: Group, known: dict[str, Tensor]) -> _Zeros:
        zero = [(m, _zero_units(known[m.parameter], m)) for m in group.members if known[m.parameter].is_floating_point()]
        none = np.zeros(group.units, bool)
        taking = [z for m, z in zero if m.role in ("consumer", "both")]
        unread = np.logical_and.reduce(taking) if taking else none
        silent = np.logical_or.reduce([none, *(z for m, z in zero if m.role != "consumer")]) & ~unread
        return cls({m.parameter: z for m, z in zero if m.role in ("producer", "both")}, unread, silent)

    def why_not(self, name: str, dead: set[Owner], alive: dict[Owner, str]) -> str:
        """Why units stay that a weight does not make; empty when there are none."""
        zero = np.logical_or.reduce([np.zeros_like(self.unread), *self.made.values()])
        left = [u for u in np.flatnonzero(zero).tolist() if (name, u) not in dead]
        if not left:
            return ""
        silent = next((p for p, z in self.made.items() if z[left].any()), "")
        loud = next((p for p, z in self.made.items() if not z[left].all()), "")
        if loud:
            return f"{_count(int(self.made[silent][left].sum()))} zero in {silent} but not in {loud}"
        units = f"{len(left)} units" if len(left) > 1 else "a unit"
        return f"the weights of {units} are zero, but {alive.get((name, left[0]), 'not all that takes them in')}"


def _count(n: int) -> str:
    return f"{n} units are" if n > 1 else "a unit is"


def _zero_units(tensor: Tensor, m: Member) -> np.ndarray:
    """One boolean a unit: whether all its entries are zero."""
    rows = tensor.detach().movedim(m.dim, 0).flatten(1) if tensor.dim() > 1 else tensor.detach().view(-1, 1)
    zero = (rows == 0).all(1).cpu().numpy()
    return np.logical_and.reduceat(zero[m.indices], m.starts[:-1])


class _Probe:
    """Runs the graph to see which units are constant.

    Args:
        model, inputs, analysis: what is pruned.
        sinks: where units are taken in.
        candidates: the units.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: ExampleInputs,
        analysis: Analysis,
        sinks: dict[fx.Node, list[Sink]],
        candidates: set[Owner],
    ) -> None:
        self.model, self.inputs, self.analysis = model, inputs, analysis
        self.sinks, self.candidates = sinks, candidates
        self.alive: dict[Owner, str] = {}  # and what takes them in
        self.folds = Folds()
        self._values: dict[fx.Node, Tensor] = {}
        self._needed = {s.operand for of_node in sinks.values() for s in of_node}
        self._constants: list[tuple[Sink, int, Owner, float]] = []

    def dead(self) -> set[Owner]:
        """The units that are constant, and can go."""
        random = torch.Generator().manual_seed(0)
        draws = 12 if self.analysis.macs({}) * self.analysis.batch < _CHEAP else 3
        for k in range(draws):
            if self.candidates <= self.alive.keys():
                return set()
            state = {n: _shaken(t, random) for n, t in tensors(self.model).items()}
            interpret(self.analysis, self.model, changed(self.inputs, k), state, watch=self._watch, injective=True)
        self._constants.clear()
        interpret(self.analysis, self.model, self.inputs, watch=self._watch)
        for sink, index, owner, value in self._constants:
            if value and owner not in self.alive:
                why = self.folds.add(self.analysis, sink, index, owner, value)
                if why:
                    self.alive[owner] = f"what is left of them is constant and {why}: prune their bias and norm too"
        return self.candidates - self.alive.keys()

    def _watch(self, node: fx.Node, value: Any) -> None:
        if node in self._needed and isinstance(value, Tensor):
            self._values[node] = value
        for sink in self.sinks.get(node, ()):
            if sink.operand in self._values:
                self._look(sink, self._values[sink.operand])

    def _look(self, sink: Sink, value: Tensor) -> None:
        flat = value.movedim(sink.dim, 0).flatten(1) if value.dim() > 1 else value.view(-1, 1)
        low, high = flat.amin(1), flat.amax(1)
        constant = (high - low <= 1e-9 * torch.maximum(high.abs(), low.abs())).tolist()
        for index, owner in sink.indices:
            if owner not in self.candidates or owner in self.alive:
                continue
            if constant[index] and (sink.foldable or float(high[index]) == 0):
                self._constants.append((sink, index, owner, float(flat[index, 0])))
            else:
                where = place(sink.node)
                self.alive[owner] = (
                    f"a bias, a norm or another branch gives them values that {operation(sink.node)} takes in"
                    f"{f' ({where})' if where else ''}"
                )


def _shaken(tensor: Tensor, random: torch.Generator) -> Tensor:
    """Other values of the same size, zero where these are; what is never negative, as a variance, stays so."""
    if not tensor.is_floating_point():
        return tensor
    noise = torch.randn(tensor.shape, generator=random, dtype=torch.float64).to(tensor.device)
    new = tensor.detach().double() * torch.exp(0.3 * noise)
    signs = (torch.rand(tensor.shape, generator=random) < 0.5).to(tensor.device)
    return new if bool((tensor >= 0).all()) else torch.where(signs, new, -new)
