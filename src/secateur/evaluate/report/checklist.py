"""The checklist of Blalock et al. 2020 (What is the State of Neural Network Pruning?, section 6), ticked by machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .aggregate import DENSE, Summary, aggregate, dense_stat, pairs
from .data import Comparison, Point
from .words import count

__all__ = ["Check", "checklist"]

POINTS = (2, 4, 8, 16, 32)


class Check(NamedTuple):
    """One item: what is asked, whether it is met (None: cannot be told from the data), and what was found."""

    ask: str
    met: bool | None
    found: str


def checklist(comparison: Comparison) -> list[Check]:
    """What the comparison does and does not do of what a fair comparison should.

    Example:
        >>> [c.met for c in checklist(Comparison(title="empty"))][:2]
        [False, False]
    """
    points = comparison.points
    good = [p for p in points if p.error is None]
    curves = [s for s in aggregate(points) if s.method != DENSE]
    return [
        _pairs(points),
        *_operating_points(curves),
        _seeds(curves),
        _control(points, "random", "random pruning as a control"),
        _control(points, "magnitude", "magnitude pruning as a baseline"),
        _dense(points),
        _top5(good),
        _all(good, "both compression and theoretical speed-up", ("compression", "speedup")),
        _all(good, "file size and measured latency besides the theoretical figures", ("file_bytes", "latency_ms")),
        _all(good, "accuracy before fine-tuning besides after", ("top1_before",)),
        _failures(points),
    ]


def _pairs(points: Sequence[Point]) -> Check:
    n = len(pairs(points))
    return Check("at least 3 pairs of data set and network", n >= 3, count(n, "pair"))


def _operating_points(curves: Sequence[Summary]) -> list[Check]:
    targets: dict[tuple[str, str, str], set[float]] = {}
    for s in curves:
        targets.setdefault((s.task, s.model, s.method), set()).update([s.target] if s.n else [])
    least = min(map(len, targets.values()), default=0)
    lacking = [x for x in POINTS if not targets or any(all(abs(t / x - 1) > 0.05 for t in ts) for ts in targets.values())]
    found = "all there" if not lacking else "not everywhere: " + ", ".join(f"{x}×" for x in lacking)
    return [
        Check("at least 5 operating points for every curve", least >= 5, f"{least} at the least"),
        Check("compressions 2, 4, 8, 16 and 32 among them", not lacking, found),
    ]


def _seeds(curves: Sequence[Summary]) -> Check:
    least = min((s.n for s in curves), default=0)
    return Check("at least 3 seeds for every point, shown as mean and standard deviation", least >= 3, f"{least} at the least")


def _control(points: Sequence[Point], name: str, ask: str) -> Check:
    lacking = [pair for pair in pairs(points) if not _has(points, pair, name)]
    found = "nothing to compare" if not points else "there" if not lacking else "missing for " + _names(lacking)
    return Check(ask, bool(points) and not lacking, found)


def _has(points: Sequence[Point], pair: tuple[str, str], word: str) -> bool:
    return any((p.task, p.model) == pair and word in p.method and p.error is None for p in points)


def _dense(points: Sequence[Point]) -> Check:
    lacking = [pair for pair in pairs(points) if dense_stat(points, *pair) is None]
    found = "missing for " + _names(lacking) if lacking else "there" if points else "nothing to compare"
    return Check("the dense network's own accuracy", bool(points) and not lacking, found)


def _top5(good: Sequence[Point]) -> Check:
    ask = "Top-1, and Top-5 from 10 classes up"
    without = sorted({p.task for p in good if p.top5 is None})
    if not good or any(p.top1 is None for p in good):
        return Check(ask, False, "points without Top-1" if good else "no points")
    if not without:
        return Check(ask, True, "both for every point")
    return Check(ask, None, f"no Top-5 for {', '.join(without)}: right only under 10 classes")


def _all(good: Sequence[Point], ask: str, names: tuple[str, ...]) -> Check:
    n = sum(all(getattr(p, name) is not None for name in names) for p in good if p.method != DENSE)
    total = sum(p.method != DENSE for p in good)
    return Check(ask, bool(total) and n == total, f"{n} of {count(total, 'point')}")


def _failures(points: Sequence[Point]) -> Check:
    n = sum(p.error is not None for p in points)
    return Check("no run is missing", n == 0 and bool(points), f"{n} of {count(len(points), 'run')} failed")


def _names(some: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{model} on {task}" for task, model in some)
