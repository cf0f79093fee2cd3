"""What each run goes on from, so that shared work is done once, and before what needs it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.errors import RunError
from .experiment import Experiment
from .one import Outcome
from .store import RunFolder

__all__ = ["Needs", "finished"]


class Needs:
    """The unfinished runs among some experiments, and all that these go on from.

    Args:
        experiments: what is to be run.
        done: what is finished already; what else is found finished is added.
        root: folder of all runs.
    """

    def __init__(self, experiments: Iterable[Experiment], done: dict[str, Outcome], root: str | Path) -> None:
        self.runs: dict[str, Experiment] = {}
        self._of: dict[str, tuple[str, ...]] = {}
        pending = [e for e in experiments if e.id not in done]
        while pending:
            e = pending.pop()
            if e.id in self.runs:
                continue
            dense = e.dense() if e.recipe is not None and e.start == "dense" else None
            earlier = {b.id: b for b in (e.follows(), dense) if b is not None}
            for i, b in earlier.items():
                if i not in done and i not in self.runs:
                    found = finished(b, root)
                    if found is not None:
                        done[i] = found
                    else:
                        pending.append(b)
            self.runs[e.id], self._of[e.id] = e, tuple(earlier)
        self.weight = dict.fromkeys(self.runs, 0)
        for e_id in self.runs:
            for above in self._above(e_id):
                self.weight[above] += 1

    def _above(self, id: str) -> set[str]:
        found: set[str] = set()
        pending = [id]
        while pending:
            new = [i for i in self._of.get(pending.pop(), ()) if i in self.runs and i not in found]
            found.update(new)
            pending.extend(new)
        return found

    def missing(self, id: str, done: dict[str, Outcome]) -> bool:
        """Whether something it goes on from is still to be done."""
        return any(i not in done for i in self._of[id])

    def lost(self, id: str, done: dict[str, Outcome]) -> str | None:
        """Why there is no need to try: what it goes on from could not be had."""
        for i in self._of[id]:
            if i in done and (error := done[i].error) is not None:
                what = "its dense network" if done[i].experiment.recipe is None else f"the run {i}, which it goes on from,"
                return f"{what} failed: {error}"
        return None


def finished(experiment: Experiment, root: str | Path) -> Outcome | None:
    """The outcome of a run that has a result already, or whose result cannot be read; None of one that has none.

    Raises nothing: a corrupt file costs its own run.
    """
    if not (Path(root) / experiment.id / "result.json").exists():
        return None
    try:
        found = RunFolder(root, experiment.id).read_result()
    except RunError as e:
        return Outcome(experiment, error=str(e), tries=0)
    return None if found is None else Outcome(experiment, found, tries=0)
