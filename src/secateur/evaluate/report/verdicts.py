"""What the paired tests found, as tabs of the page: a table and a sentence for every compression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import words as w
from .figures.render import Rendered
from .significance import Difference, fewest
from .tables import Table, difference_table

__all__ = ["Tab", "difference_tabs"]

MAX_METHODS = 26  # a side of the table of differences; differences.csv has all


class Tab(NamedTuple):
    """One of several figures or tables that share their place."""

    id: str
    name: str
    caption: str
    figure: Rendered | None = None
    table: Table | None = None


def difference_tabs(id: str, model: str, tests: Sequence[Difference]) -> list[Tab]:
    """A tab per compression."""
    out = []
    for target in dict.fromkeys(d.target for d in tests):
        some = [d for d in tests if d.target == target]
        methods = list(dict.fromkeys(m for d in some for m in (d.a, d.b)))[:MAX_METHODS]
        shown = [d for d in some if d.a in methods and d.b in methods]
        key = f"{id}-differences-{w.slug(f'{target:.4g}')}"
        what = "Top-1 of {}, points" if some[0].metric == "top1" else "the loss of {}, nats; less is better"
        table = difference_table(f"{key}-table", f"Differences at {target:.3g}× of {what.format(model)}", shown)
        out.append(Tab(key, f"{target:.3g}×", _told(some), table=table))
    return out


def _told(some: Sequence[Difference]) -> str:
    """What the tests at one compression found, in words."""
    tested = [d for d in some if d.p is not None]
    seeds = sorted({d.n for d in some})
    of = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    if not tested:
        return "One seed says nothing about chance: no difference here can be told from luck."
    if all(d.verdict == "too few seeds" for d in some):
        least = min(d.reachable for d in some)
        return (
            f"Too few seeds to tell: with {of}, the clearest difference possible has p = {w.p_value(least)} after correction "
            f"for {w.count(len(tested), 'comparison')}; from {fewest(len(tested))} seeds on one could show. ° only says that the "
            "95 % t interval, which takes differences for normal and is not corrected for their number, leaves out 0."
        )
    clear = sum(d.verdict in ("better", "worse") for d in some)
    return (
        f"{clear} of {w.count(len(tested), 'difference')} are significant (▲ better, ▼ worse): exact sign-flip test over {of} "
        "seeds, Holm's correction for all comparisons at this compression, p < 0.05. ° the 95 % t interval alone leaves out 0."
    )
