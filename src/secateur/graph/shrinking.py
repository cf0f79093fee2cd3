"""Making a model smaller until it fits together: what cannot be as asked is put back, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from torch import nn

from .analysis import Analysis, Removed
from .cut import Cut
from .dead import Dead, dead_units
from .equal import Reference
from .report import Shrunk
from .solve import Conflict, solve
from .trace import ExampleInputs
from .verify import Failure

__all__ = ["Shrinking"]

_ATTEMPTS = 200

Units = dict[str, np.ndarray]


class Shrinking:
    """One call of :func:`~secateur.graph.shrink.shrink_`: what is still to be removed, and why the rest stays.

    Args:
        model: any module.
        example_inputs: what it takes.
        analysis: of it.
        plan: group name → units; None for what is zero.
        narrow_norms: whether norms may average over fewer units.
    """

    def __init__(
        self, model: nn.Module, example_inputs: ExampleInputs, analysis: Analysis, plan: Removed | None, narrow_norms: bool
    ) -> None:
        self.model, self.analysis, self.narrow = model, analysis, narrow_norms
        found = dead_units(model, example_inputs, analysis) if plan is None else Dead(analysis.units(plan))
        self.folds, self.kept = found.folds, dict(found.kept)
        self.reference = Reference(model, example_inputs, analysis, as_it_is=plan is None, narrow=narrow_norms)
        self.removed = self._none_empty(self._allowed(found.units))

    def run(self) -> Shrunk:
        """Try, and put back what does not fit, until the rest does."""
        made = self._fit()
        error, changes = (0.0, {}) if made is None else (made.error, made.changes)
        a, left = self.analysis, {n: len(u) for n, u in self.removed.items()}
        units = {g.name: g.units for g in a.groups}
        macs, params = (a.macs({}), a.macs(self.removed)), (a.params({}), a.params(self.removed))
        return Shrunk(left, self.kept, error, self.reference.sensitivity, macs, params, changes, units)

    def _fit(self) -> Any:
        """The smaller model, made and checked; None when all is put back."""
        for _ in range(_ATTEMPTS):
            if not self.removed:
                return None
            result = self.attempt(self.removed)
            if not isinstance(result, Failure | list):
                return result
            self.removed = self._none_empty(self._less(result if isinstance(result, list) else [result]))
        self.kept |= dict.fromkeys(self.removed, f"nothing fits together after {_ATTEMPTS} attempts")
        self.removed = {}
        return None

    def attempt(self, removed: Units) -> Cut | Failure | list[Conflict]:
        """The smaller model, made and checked; or what does not fit, with the model as it was."""
        gone = self.analysis.gone(removed)
        changes, conflicts = solve(self.analysis, self.model, gone)
        if conflicts:
            return conflicts
        self.reference.prepare(gone)
        cut = Cut(self.model, self.analysis, gone, changes, self.folds.added(self.model, removed))
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

    def _allowed(self, removed: Units) -> Units:
        allowed = {}
        for name, units in removed.items():
            group = self.analysis.groups[name]
            if group.statistics and not self.narrow:
                self.kept[name] = f"{group.statistics[0]} averages over its units (narrow_norms=True removes them all the same)"
            else:
                allowed[name] = units
        return allowed

    def _none_empty(self, removed: Units) -> Units:
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
            removed = _fewer(removed, {most.name: len(removed[most.name]) - 1})
        return removed

    # ---------------------------------------------------------------- what does not fit

    def _less(self, problems: Sequence[Conflict | Failure]) -> Units:
        """What to try next: groups that must agree made equally small, others put back."""
        removed, met = self.removed, set[str]()
        for problem in problems:
            hit = self._hit(problem)
            if hit and met.isdisjoint(hit):
                removed = self._agreed(removed, hit, self._text(problem))
                met.update(hit)
        if not met:
            removed = self._agreed(removed, self._culprits(), self._text(problems[0]), blamed=True)
        return removed

    def _agreed(self, removed: Units, names: Sequence[str], text: str, *, blamed: bool = False) -> Units:
        """The same part of several groups goes, the smallest that was asked of one; nothing of them if that is so already."""
        shares = {n: Fraction(len(removed[n]), self.analysis.groups[n].units) for n in names}
        fewest = min(shares, key=lambda n: shares[n])
        blamed = blamed or len(set(shares.values())) == 1
        most = {n: 0 if blamed else int(shares[fewest] * self.analysis.groups[n].units) for n in names}
        for name in names:
            more = len(removed[name]) - most[name]
            if more:
                self.kept[name] = text if not most[name] else f"{_units(more)}, as large a part as of {fewest}: {text}"
        return _fewer(removed, most)

    def _call(self, problem: Conflict | Failure) -> int | None:
        """The recorded call that a problem is about."""
        known = isinstance(problem, Conflict) or self.reference.aligned
        return problem.call if known and problem.call is not None and problem.call < len(self.analysis.recording.calls) else None

    def _text(self, problem: Conflict | Failure) -> str:
        """Why, and where in forward; a failure knows."""
        call = self._call(problem) if isinstance(problem, Conflict) else None
        place = self.analysis.recording.calls[call].place if call is not None else ""
        return f"{problem.text} ({place})" if place else problem.text

    def _hit(self, problem: Conflict | Failure) -> list[str]:
        """The groups that lose units which a problem is about."""
        call = self._call(problem)
        if isinstance(problem, Conflict):
            labels = problem.labels
        else:
            labels = self.analysis.reader.of_call(call) if call is not None and not problem.elsewhere else []
        atoms = np.unique(np.concatenate([np.zeros(0, np.int64), *(self.analysis.reader.rows(x).ravel() for x in labels)]))
        return [n for n in self.removed if np.isin(self.analysis.groups.atoms[n], atoms).any()]

    def _culprits(self) -> list[str]:
        """The groups of a half that fails by itself, down to one group; all of them when only both halves together fail."""
        names = list(self.removed)
        while len(names) > 1:
            halves = names[: len(names) // 2], names[len(names) // 2 :]
            for half in halves:
                result = self.attempt({n: self.removed[n] for n in half})
                if isinstance(result, Failure | list):
                    names = half
                    break
                result.undo()
            else:
                return names
        return names


def _units(n: int) -> str:
    return f"{n} units stay" if n > 1 else "a unit stays"


def _fewer(removed: Units, most: Mapping[str, int]) -> Units:
    """The same with at most so many units of some groups; the first ones stay in the model."""
    fewer = {n: u[len(u) - min(most.get(n, len(u)), len(u)) :] for n, u in removed.items()}
    return {n: u for n, u in fewer.items() if len(u)}
