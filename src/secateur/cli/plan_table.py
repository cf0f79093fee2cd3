"""What a sweep would run, and what it cannot, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from ..lab import Experiment, LeftOut, Plan
from ..lab.begin import recovery_training

__all__ = ["left_out_table", "plan_table"]


def plan_table(plan: Plan, root: Path, title: str) -> Table:
    """A row for each method on each network: from where it starts, how long it trains, and how many runs that is.

    Args:
        plan: what is to be run.
        root: folder of all runs, to see which are finished.
        title: heading.
    """
    groups: dict[tuple[str, str], list[Experiment]] = {}
    for e in plan.experiments:
        groups.setdefault((f"{e.model} on {e.task}", e.label), []).append(e)
    count = len({e.id for e in plan.experiments})
    table = Table(
        box=box.SIMPLE_HEAD, title=f"{title}: {count} runs", caption="epochs: of training after pruning, over all rounds"
    )
    table.add_column("network", overflow="fold")
    table.add_column("method", overflow="fold")
    table.add_column("prunes")
    for column in ("epochs", "compressions", "seeds", "runs", "finished"):
        table.add_column(column, justify="right")
    for (network, label), mine in groups.items():
        first, ids = mine[0], {e.id for e in mine}
        done = sum((root / i / "result.json").exists() for i in ids)
        dense = first.recipe is None
        table.add_row(
            network,
            label,
            "—" if dense else "new weights" if first.control is not None else first.start,
            f"{first.training.epochs if first.pretrained is None else 0.0:g}" if dense else f"{_epochs(first):.3g}",
            "1" if dense else _listed(dict.fromkeys(e.compression for e in mine)),
            _listed(dict.fromkeys(e.seed for e in mine)),
            str(len(ids)),
            str(done),
        )
    return table


def left_out_table(left_out: Sequence[LeftOut]) -> Table:
    """What cannot be run, and why: the sentence of the least compression that is out of reach speaks for the others."""
    cells: dict[tuple[str, str], list[LeftOut]] = {}
    for x in left_out:
        cells.setdefault((x.network, x.method), []).append(x)
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (network, method), mine in cells.items():
        mine.sort(key=lambda x: x.compression or 0.0)
        rows.setdefault((network, _listed(x.compression for x in mine), mine[0].why), []).append(method)
    table = Table(box=box.SIMPLE_HEAD, title="left out", title_style="yellow")
    for column in ("network", "method", "compressions", "why"):
        table.add_column(column, overflow="fold", ratio=3 if column == "why" else None)
    for (network, compressions, why), methods in rows.items():
        table.add_row(network, ", ".join(methods), compressions, why)
    return table


def _listed(values: Iterable[float | None]) -> str:
    return ", ".join("own" if v is None else f"{v:g}" for v in values)


def _epochs(experiment: Experiment) -> float:
    """Epochs of training after pruning, over all rounds."""
    recipe = experiment.recipe
    assert recipe is not None
    if experiment.control is not None:
        return experiment.training.epochs
    rounds = 0
    while "rounds" in recipe.schedule.counts and recipe.schedule.at_round(rounds + 1) is not None:
        rounds += 1
    tuned = 0.0 if experiment.pipeline is None else experiment.pipeline.share.epochs
    return max(1, rounds) * recovery_training(experiment.training, recipe.recovery).epochs + tuned
