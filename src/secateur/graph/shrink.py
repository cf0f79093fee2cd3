"""Cutting removed units out of the user's own module, checked to compute the same."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable, Mapping
from typing import Literal, overload

import numpy as np
from torch import fx, nn

from ..core.errors import ModelError
from .analysis import Analysis, Removed, analyse
from .branches import LAYERS, additions, find_branches
from .cut import Cut
from .dead import Dead, dead_units, fold_into
from .equal import Reference
from .plan import note
from .report import Shrunk
from .skip import skip_dead_, zero_
from .solve import Conflict, solve
from .trace import ExampleInputs, unwrap
from .verify import Failure

__all__ = ["Shrinking", "Shrunk", "shrink_"]

_ATTEMPTS = 200


@overload
def shrink_(
    model: nn.Module, example_inputs: ExampleInputs, plan: Removed | None = None, *, as_graph: Literal[False] = False,
    narrow_norms: bool = False,
) -> Shrunk: ...  # fmt: skip
@overload
def shrink_(
    model: nn.Module, example_inputs: ExampleInputs, plan: Removed | None = None, *, as_graph: Literal[True],
    narrow_norms: bool = False,
) -> fx.GraphModule: ...  # fmt: skip
def shrink_(
    model: nn.Module,
    example_inputs: ExampleInputs,
    plan: Removed | None = None,
    *,
    as_graph: bool = False,
    narrow_norms: bool = False,
) -> Shrunk | fx.GraphModule:
    """Cut pruned units out of a model, in place: its class, ``forward`` and parameter names stay, its tensors get smaller.

    Parameters, buffers and the Python integers that depend on them are changed. The masked model and the smaller one are
    then run in double precision, on the example inputs and on a batch of another size; what does not come out the same
    (relative difference below 1e-10) is put back, with the reason. Optimizers must be made anew.

    Args:
        model: any module that ``torch.export`` can trace.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        plan: group name → units to remove, as ``pruner.plan``, and under ``"layers"`` residual branches by number; None
            removes every unit whose weights are zero, and folds what is constant of it into the next layer's bias.
        as_graph: leave the model alone and return a traced ``GraphModule`` of the smaller one, for a forward that holds
            sizes the smaller model cannot have.
        narrow_norms: also remove units over which a normalisation takes its mean or variance; these are then over the
            units that are left, in the masked model too.

    Returns:
        What was cut, what stayed and why; prints as a table. With ``as_graph`` the smaller model.

    Raises:
        ModelError: the model cannot be traced; the plan names groups or units that are not there; the output does not
            depend on the input, so that nothing can be checked.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> shrunk = shrink_(mlp, torch.randn(2, 4), {"0": [1, 2, 5]})
        >>> mlp[0], mlp[2].weight.shape, shrunk.error < 1e-10
        (Linear(in_features=4, out_features=5, bias=True), torch.Size([2, 5]), True)
    """
    model = unwrap(model)
    if as_graph:
        from .regraph import smaller_graph

        return smaller_graph(model, example_inputs, plan, narrow_norms=narrow_norms)
    analysis = analyse(model, example_inputs)
    before = analysis.macs({}), analysis.params({})
    skipped = _skip(model, example_inputs, analysis, (plan or {}).get(LAYERS, ()))
    if skipped:
        analysis = analyse(model, example_inputs)
    if plan is not None:  # groups inside a block that is gone are gone with it
        left = {g.name for g in analysis.groups}
        plan = {n: u for n, u in plan.items() if n != LAYERS and (not skipped or n in left)}
    shrunk = Shrinking(model, example_inputs, analysis, plan, narrow_norms).run()
    return dc.replace(shrunk, skipped=tuple(skipped), macs=(before[0], shrunk.macs[1]), params=(before[1], shrunk.params[1]))


def _skip(model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis, branches: Iterable[int]) -> list[str]:
    """Take out blocks that are, or are asked to become, the identity."""
    chosen = np.asarray(branches, dtype=np.int64).tolist()
    if chosen:
        known = find_branches(model, example_inputs, analysis)
        if not all(0 <= k < len(known) for k in chosen):
            raise ModelError(f"the model has {len(known)} residual branches; the plan removes {chosen}")
        zero_(model, [known[k] for k in chosen])
    return skip_dead_(model, example_inputs, additions(analysis))


class Shrinking:
    """One call of :func:`shrink_`: what is still to be removed, and why the rest stays."""

    def __init__(
        self, model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis, plan: Removed | None, narrow_norms: bool
    ) -> None:
        self.model, self.analysis, self.narrow = model, analysis, narrow_norms
        found = dead_units(model, example_inputs, analysis) if plan is None else Dead(analysis.units(plan), {}, {})
        self.folds, self.kept = found.folds, dict(found.kept)
        self.reference = Reference(model, example_inputs, analysis, as_it_is=plan is None, narrow=narrow_norms)
        self.removed = self._none_empty(self._allowed(found.units))

    def run(self) -> Shrunk:
        """Try, and put back what does not fit, until the rest does."""
        before = self.analysis.macs({}), self.analysis.params({})
        error, changes = 0.0, {}
        for _ in range(_ATTEMPTS):
            if not self.removed:
                break
            result = self.attempt(self.removed)
            if not isinstance(result, Conflict | Failure):
                error, changes = result.error, result.changes
                break
            self.removed = self._none_empty(self._less(result))
        else:
            raise ModelError(f"nothing fits together after {_ATTEMPTS} attempts; give a plan of fewer groups")
        note(self.model, changes)
        after = self.analysis.macs(self.removed), self.analysis.params(self.removed)
        cut = {n: len(u) for n, u in self.removed.items()}
        units = {g.name: g.units for g in self.analysis.groups}
        sensitivity = self.reference.sensitivity
        return Shrunk(cut, self.kept, error, sensitivity, (before[0], after[0]), (before[1], after[1]), changes, units)

    def attempt(self, removed: dict[str, np.ndarray]) -> Cut | Conflict | Failure:
        """The smaller model, made and checked; or what does not fit, with the model as it was."""
        gone = self.analysis.gone(removed)
        changes, conflicts = solve(self.analysis, self.model, gone)
        if conflicts:
            return conflicts[0]
        folds = fold_into(self.folds, removed)
        self.reference.prepare(gone)
        cut = Cut(self.model, self.analysis, gone, changes, folds)
        try:
            cut.error = self.reference.compare(gone)
            cut.settle()
        except Failure as failure:
            cut.undo()
            return failure
        except BaseException:
            cut.undo()
            raise
        return cut

    # ---------------------------------------------------------------- what may go

    def _allowed(self, removed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        allowed = {}
        for name, units in removed.items():
            group = self.analysis.groups[name]
            if group.statistics and not self.narrow:
                self.kept[name] = f"{group.statistics[0]} averages over its units (narrow_norms=True removes them all the same)"
            else:
                allowed[name] = units
        return allowed

    def _none_empty(self, removed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """No dimension may become empty; several groups can share one."""
        sizes = self.analysis.groups.shapes
        while removed:
            shapes = self.analysis.shapes(removed)
            empty = next((n for n, s in shapes.items() if 0 in s and 0 not in sizes.get(n, ())), None)
            if empty is None:
                break
            groups = [g for g in self.analysis.groups.of(empty) if g.name in removed]
            most = max(groups, key=lambda g: len(removed[g.name]) / g.units)
            self.kept[most.name] = "one unit stays: a dimension cannot be empty"
            removed = _without(removed, {most.name: len(removed[most.name]) - 1})
        return removed

    def _less(self, problem: Conflict | Failure) -> dict[str, np.ndarray]:
        """What to try next: groups that must agree made equally small, others put back."""
        labels = problem.labels if isinstance(problem, Conflict) else self.reference.labels(problem.call)
        hit = self._hit(labels)
        counts = {n: len(self.removed.get(n, ())) for n in hit}
        if len({self.analysis.groups[n].units for n in hit}) == 1 and len(set(counts.values())) > 1:
            fewest = min(counts, key=lambda n: counts[n])
            least = counts[fewest]
            for name, count in counts.items():
                if count > least:
                    self.kept[name] = f"{count - least} units stay, as many as of {fewest}: {problem.text}"
            return _without(self.removed, dict.fromkeys(hit, least))
        blamed = [n for n in hit if n in self.removed] or self._culprits()
        for name in blamed:
            self.kept[name] = problem.text
        return {n: u for n, u in self.removed.items() if n not in blamed}

    def _hit(self, labels: list[np.ndarray]) -> list[str]:
        """The groups with a unit among these labels."""
        resolve = self.analysis.labels.atoms.resolve
        atoms = np.unique(np.concatenate([resolve(x, pinned=True).ravel() for x in labels])) if labels else np.zeros(0, np.int64)
        return [g.name for g in self.analysis.groups.prunable if np.isin(self.analysis.groups.atoms[g.name], atoms).any()]

    def _culprits(self) -> list[str]:
        """The groups of a half that fails by itself, down to one group; all of them when only both halves together fail."""
        names = list(self.removed)
        while len(names) > 1:
            halves = names[: len(names) // 2], names[len(names) // 2 :]
            for half in halves:
                result = self.attempt({n: self.removed[n] for n in half})
                if isinstance(result, Conflict | Failure):
                    names = half
                    break
                result.undo()
            else:
                return names
        return names


def _without(removed: dict[str, np.ndarray], most: Mapping[str, int]) -> dict[str, np.ndarray]:
    """The same with at most so many units of some groups; the first ones stay in the model."""
    fewer = {n: u[len(u) - min(most.get(n, len(u)), len(u)) :] for n, u in removed.items()}
    return {n: u for n, u in fewer.items() if len(u)}
