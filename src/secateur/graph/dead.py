"""Units that pruning has left without effect: nothing reads them, or they no longer depend on the input."""

from __future__ import annotations

import dataclasses as dc
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from .analysis import Analysis
from .cut import tensors
from .groups import Member
from .interpret import interpret
from .multiply_adds import RULES
from .trace import ExampleInputs

__all__ = ["Dead", "dead_units"]

_DRAWS = 3
_CONV = ("conv1d", "conv2d", "conv3d")


@dc.dataclass(frozen=True, eq=False)
class Dead:
    """Units without effect.

    Args:
        units: group name → units.
        folds: bias → ``[(group, unit, what the unit's constant adds to it)]``.
        kept: group name → why units that are constant stay.
    """

    units: dict[str, np.ndarray]
    folds: dict[str, list[tuple[str, int, Tensor]]]
    kept: dict[str, str]


def dead_units(model: nn.Module, inputs: ExampleInputs, analysis: Analysis) -> Dead:
    """Units whose weights have been zeroed so that they can be cut.

    A unit is dead when everything that takes it in is zero; or when the graph, run with other weights that are zero
    where the model's are, gives it the same value for all inputs. A value that is not zero is folded into a bias.
    """
    known = tensors(model)
    unread, silent = {}, {}
    for group in analysis.groups.prunable:
        zero = [(m, _zero_units(known[m.parameter], m)) for m in group.members if known[m.parameter].is_floating_point()]
        taking = [z for m, z in zero if m.role in ("consumer", "both")]
        unread[group.name] = np.logical_and.reduce(taking) if taking else np.zeros(group.units, bool)
        silent[group.name] = np.logical_or.reduce([z for m, z in zero if m.role != "consumer"]) & ~unread[group.name]
    units, folds, kept = {n: np.flatnonzero(u) for n, u in unread.items()}, defaultdict(list), {}
    if any(s.any() for s in silent.values()):
        probe = _Probe(model, inputs, analysis, {n: s for n, s in silent.items() if s.any()})
        for name, dead in probe.dead().items():
            units[name] = np.union1d(units[name], dead)
        folds, kept = probe.folds, probe.kept
    return Dead({n: u for n, u in units.items() if len(u)}, dict(folds), kept)


def _zero_units(tensor: Tensor, m: Member) -> np.ndarray:
    """One boolean a unit: whether all its entries are zero."""
    if tensor.is_meta:
        return np.zeros(len(m.starts) - 1, bool)
    rows = tensor.detach().movedim(m.dim, 0).flatten(1) if tensor.dim() > 1 else tensor.detach().view(-1, 1)
    zero = (rows == 0).all(1).cpu().numpy()
    return np.logical_and.reduceat(zero[m.indices], m.starts[:-1])


class _Probe:
    """Runs the graph to see which units are constant."""

    def __init__(self, model: nn.Module, inputs: ExampleInputs, analysis: Analysis, silent: dict[str, np.ndarray]) -> None:
        self.model, self.inputs, self.analysis, self.silent = model, inputs, analysis, silent
        self.kept: dict[str, str] = {}
        self.folds: dict[str, list[tuple[str, int, Tensor]]] = defaultdict(list)
        self.owner: dict[int, tuple[str, int]] = {}
        for name, units in silent.items():
            for u in np.flatnonzero(units):
                self.owner[int(analysis.groups.atoms[name][u])] = (name, int(u))
        self.values: dict[fx.Node, Any] = {}
        self.alive: set[tuple[str, int]] = set()
        self.constants: list[tuple[fx.Node, int, tuple[str, int], float]] = []

    def dead(self) -> dict[str, np.ndarray]:
        """The units that are constant, and can go."""
        random = torch.Generator().manual_seed(0)
        for _ in range(_DRAWS):
            state = {n: _shaken(t, random) for n, t in tensors(self.model).items()}
            interpret(self.analysis, self.model, self.inputs, state, watch=self._watch)
        self.constants.clear()
        interpret(self.analysis, self.model, self.inputs, watch=self._watch)
        for node, index, owner, value in self.constants:
            if owner not in self.alive and abs(value) > 0:
                self._fold(node, index, owner, value)
        found: dict[str, list[int]] = defaultdict(list)
        for owner in self.owner.values():
            if owner not in self.alive:
                found[owner[0]].append(owner[1])
        self.folds = {b: kept for b, all_ in self.folds.items() if (kept := [f for f in all_ if (f[0], f[1]) not in self.alive])}
        return {n: np.array(sorted(u)) for n, u in found.items()}

    def _watch(self, node: fx.Node, value: Any) -> None:
        self.values[node] = value
        if node.op != "call_function":
            return
        for x, dim, constant_will_do in _inputs_of(self.analysis, node):
            labels = (self.analysis.labels.dims.get(x) or [0])[dim]
            if not isinstance(labels, int) and isinstance(self.values.get(x), Tensor):
                self._look(node, self.values[x], dim, labels, constant_will_do)

    def _look(self, node: fx.Node, value: Tensor, dim: int, labels: np.ndarray, constant_will_do: bool) -> None:
        rows = self.analysis.labels.atoms.resolve(labels, pinned=True)
        flat = value.movedim(dim, 0).flatten(1)
        low, high = flat.amin(1), flat.amax(1)
        constant = (high - low <= 1e-9 * torch.maximum(high.abs(), low.abs())).tolist()
        for index, row in enumerate(rows.tolist()):
            for atom in row:
                owner = self.owner.get(atom)
                if owner is None:
                    continue
                if not constant[index] or (not constant_will_do and float(high[index]) != 0):
                    self.alive.add(owner)
                else:
                    self.constants.append((node, index, owner, float(flat[index, 0])))

    def _fold(self, node: fx.Node, index: int, owner: tuple[str, int], value: float) -> None:
        """Note what a constant adds to the bias of the layer that takes it in; without one the unit stays."""
        names = self.analysis.recording.program.graph_signature
        weight, bias = node.args[1], node.args[2] if len(node.args) > 2 else None
        conv = getattr(node.target, "_opname", "") in _CONV
        why = None
        if getattr(node.target, "_opname", "") not in ("linear", *_CONV):
            why = "is taken in by an operation without a bias"
        elif not isinstance(bias, fx.Node) or bias.name not in names.inputs_to_parameters:
            why = "is taken in by a layer without a bias"
        elif not isinstance(weight, fx.Node) or weight.name not in names.inputs_to_parameters:
            why = "meets a weight that forward computes"
        elif conv and (any(_pads(node)) or _groups(node) > 1):
            why = "is taken in by a convolution that pads with zeros, so that it is not constant at the border"
        if why is not None:
            self.alive.add(owner)
            self.kept[owner[0]] = f"what is left of it is constant, but {why}: prune its bias and norm too"
            return
        assert isinstance(weight, fx.Node)
        assert isinstance(bias, fx.Node)
        column = tensors(self.model)[names.inputs_to_parameters[weight.name]].detach().double().select(1, index)
        added = (column.flatten(1).sum(1) if column.dim() > 1 else column) * value
        self.folds[names.inputs_to_parameters[bias.name]].append((*owner, added))


def _pads(node: fx.Node) -> Iterator[bool]:
    padding = node.args[4] if len(node.args) > 4 else 0
    for p in padding if isinstance(padding, list | tuple) else [padding]:
        yield bool(p)


def _groups(node: fx.Node) -> int:
    return int(node.args[6]) if len(node.args) > 6 else 1  # type: ignore[arg-type]


def _inputs_of(analysis: Analysis, node: fx.Node) -> Iterator[tuple[fx.Node, int, bool]]:
    """Dimensions that an operation sums over: the operand, the dimension, and whether a constant there is only a bias."""
    name = getattr(node.target, "_opname", "")
    weights = analysis.labels.weights
    operands = [x for x in node.args if isinstance(x, fx.Node)]
    if name == "linear" and operands[0] not in weights:
        yield operands[0], -1, operands[1] in weights
    elif name in _CONV:
        taps = int(name[-2])
        per_group = analysis.labels.shape(operands[1])[1]
        if operands[0] not in weights and (_groups(node) == 1 or per_group > 1):
            yield operands[0], -taps - 1, _groups(node) == 1
    elif name in ("matmul", "mm", "bmm", "addmm", "baddbmm"):
        left, right = operands[-2:]
        for x, dim, other in ((left, -1, right), (right, -2 if len(analysis.labels.shape(right)) > 1 else -1, left)):
            if x not in weights and other in weights:
                yield x, dim, False
    elif name in RULES and name != "scaled_dot_product_attention":
        for x in operands:
            if x not in weights:
                for dim in range(len(analysis.labels.shape(x))):
                    yield x, dim, False


def _shaken(tensor: Tensor, random: torch.Generator) -> Tensor:
    """Other values of the same size, zero where these are; what is never negative, as a variance, stays so."""
    if not tensor.is_floating_point():
        return tensor
    noise = torch.randn(tensor.shape, generator=random, dtype=torch.float64).to(tensor.device)
    new = tensor.detach().double() * torch.exp(0.3 * noise)
    signs = (torch.rand(tensor.shape, generator=random) < 0.5).to(tensor.device)
    return new if bool((tensor >= 0).all()) else torch.where(signs, new, -new)


def fold_into(folds: dict[str, list[tuple[str, int, Tensor]]], removed: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """What the removed units' constants add to each bias."""
    gone = {(n, int(u)) for n, units in removed.items() for u in units}
    return {
        bias: total
        for bias, parts in folds.items()
        if (picked := [t for n, u, t in parts if (n, u) in gone]) and (total := torch.stack(picked).sum(0)) is not None
    }
