"""The checklist of Blalock et al. 2020 (What is the State of Neural Network Pruning?, section 6), ticked by machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .aggregate import DENSE, Summary, aggregate, dense_stat, pairs
from .data import Comparison, Point
from .words import count, title

__all__ = ["Check", "checklist", "same_training"]

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
        _modern(points),
        _named(comparison),
        *_operating_points(curves),
        _seeds(curves),
        _control(points, "random", "random pruning as a control"),
        _control(points, "magnitude", "magnitude pruning as a baseline"),
        _dense(points),
        _same_start(good),
        same_training(good),
        _top5(good),
        _all(good, "change of accuracy besides the accuracy itself", ("top1", "top1_change")),
        _all(good, "both compression and theoretical speed-up", ("compression", "speedup")),
        _all(good, "file size and measured latency besides the theoretical figures", ("file_bytes", "latency_ms")),
        _all(good, "accuracy before fine-tuning besides after", ("top1_before",)),
        _recipes(comparison),
        Check("number of trials behind the hyper-parameters", None, "not in the data: say how the values were found"),
        Check("logarithmic x axes, and comparisons at equal compression alone", True, "every figure and every table here"),
        _failures(comparison),
    ]


def _pairs(points: Sequence[Point]) -> Check:
    n = len(pairs(points))
    return Check("at least 3 pairs of data set and network", n >= 3, count(n, "pair"))


def _modern(points: Sequence[Point]) -> Check:
    small = ("mnist", "digits")
    beyond = [pair for pair in pairs(points) if not any(word in pair[0].lower() for word in small)]
    found = _names(beyond[:3]) if beyond else "nothing but digits"
    return Check("at least one pair beyond MNIST and other digits", bool(beyond), found)


def _named(comparison: Comparison) -> Check:
    lacking = sorted({p.model for p in comparison.points} - set(comparison.settings))
    found = "data set, network and training of each" if not lacking else "no training settings for " + ", ".join(lacking)
    return Check("exact names, and how each dense network was trained", bool(comparison.points) and not lacking, found)


def _same_start(good: Sequence[Point]) -> Check:
    """One dense network for all methods of a seed."""
    starts: dict[tuple[str, str, int], set[str]] = {}
    for p in good:
        if p.method != DENSE and p.dense_id is not None:
            starts.setdefault((p.task, p.model, p.seed), set()).add(p.dense_id)
    if not starts:
        return Check("the same initial weights and data order for all methods", None, "the data does not name the dense networks")
    several = sum(len(ids) > 1 for ids in starts.values())
    found = f"{count(len(starts), 'dense network')}, each the start of all methods of its seed"
    return Check(
        "the same initial weights and data order for all methods", not several,
        f"{several} of {count(len(starts), 'seed')} with more than one dense network" if several else found,
    )  # fmt: skip


def same_training(good: Sequence[Point]) -> Check:
    """As many optimizer steps for every method of a (task, model), controls that train anew aside."""
    ask, steps = "the same fine-tuning budget for all methods", dict[tuple[str, str], dict[str, int]]()
    for p in good:
        if p.method != DENSE and p.steps is not None and "scratch" not in p.method and "reinit" not in p.method:
            mine = steps.setdefault((p.task, p.model), {})
            mine[p.method] = max(mine.get(p.method, 0), p.steps)
    if not steps:
        return Check(ask, None, "the data does not tell the steps")
    for (_, model), by_method in steps.items():
        low, high = min(by_method, key=by_method.__getitem__), max(by_method, key=by_method.__getitem__)
        if by_method[high] > 1.1 * by_method[low]:
            few, many = f"{by_method[low]:,} steps for {title(low)}", f"{by_method[high]:,} for {title(high)}"
            return Check(ask, False, f"{model}: {few}, {many}")
    return Check(ask, True, "as many steps everywhere")


def _recipes(comparison: Comparison) -> Check:
    lacking = sorted({p.method for p in comparison.points if p.method != DENSE} - set(comparison.recipes))
    commit = comparison.environment.get("commit") or comparison.environment.get("secateur")
    ask = "hyper-parameters of every method, and the code's version"
    if not comparison.points or lacking or not commit:
        why = (
            "no recipe of " + ", ".join(lacking) if lacking else "no runs" if not comparison.points else "no version of the code"
        )
        return Check(ask, False, why)
    code = ", ".join(commit) if isinstance(commit, list) else commit
    return Check(ask, True, f"all recipes below, code at {code}")


def _operating_points(curves: Sequence[Summary]) -> list[Check]:
    targets: dict[tuple[str, str, str], set[float]] = {}
    for s in curves:
        targets.setdefault((s.task, s.model, s.method), set()).update([s.target] if s.n else [])
    least = min(map(len, targets.values()), default=0)
    lacking = [x for x in POINTS if not targets or any(all(abs(t / x - 1) > 0.05 for t in ts) for ts in targets.values())]
    found = "all there" if not lacking else "not everywhere: " + ", ".join(f"{x}×" for x in lacking)
    speeds: dict[tuple[str, str, str], set[float]] = {}
    for s in curves:
        reached = speeds.setdefault((s.task, s.model, s.method), set())
        reached.update([round(s.speedup.mean, 2)] if s.speedup is not None else [])
    slow = min(map(len, speeds.values()), default=0)
    return [
        Check("at least 5 operating points for every curve", least >= 5, f"{least} at the least"),
        Check("compressions 2, 4, 8, 16 and 32 among them", not lacking, found),
        Check("at least 5 different theoretical speed-ups for every curve", slow >= 5, f"{slow} at the least"),
    ]


def _seeds(curves: Sequence[Summary]) -> Check:
    least = min((s.n for s in curves), default=0)
    return Check("at least 3 seeds for every point, shown as mean and standard deviation", least >= 3,
                 f"{least} at the least; a seed sets initial weights, data order, augmentation and dropout")  # fmt: skip


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


def _failures(comparison: Comparison) -> Check:
    points = comparison.points
    n = sum(p.error is not None for p in points)
    found = f"{n} of {count(len(points), 'run')} failed"
    if comparison.left_out:
        found += f", {len(comparison.left_out)} left out"
    return Check("no run is missing", n == 0 and bool(points) and not comparison.left_out, found)


def _names(some: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{model} on {task}" for task, model in some)
