"""From points to means and spreads, and the knee of a curve. Pure functions."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Iterable, Sequence

from . import pareto
from .data import Point

__all__ = ["Stat", "Summary", "aggregate", "best", "dense_stat", "front", "knee", "pairs", "stat"]

METRICS = (
    "top1", "top1_change", "validation_change", "top1_before", "top5", "compression", "speedup", "file_bytes", "file_ratio",
    "latency_ms", "measured_speedup", "seconds", "loss", "perplexity", "inference_joules", "energy_ratio", "training_joules",
    "peak_bytes", "steps",
)  # fmt: skip
DENSE = "dense"


@dc.dataclass(frozen=True)
class Stat:
    """Mean and sample standard deviation (n − 1 in the denominator; None from a single value)."""

    mean: float
    std: float | None
    n: int


@dc.dataclass(frozen=True, kw_only=True)
class Summary:
    """The seeds of one (task, model, method, target compression) taken together.

    Args:
        task: task of the group.
        model: network of the group.
        method: method of the group.
        target: compression asked for.
        control: the method is a control.
        language: it is judged by its perplexity.
        n: runs that ended.
        failed: runs that did not; they are counted, and are in no mean.
        inference_energy: who counted the joules of an inference.
        training_energy: who counted those of the training.
    """

    task: str
    model: str
    method: str
    target: float
    control: bool
    language: bool
    n: int
    failed: int
    top1: Stat | None
    top1_change: Stat | None
    validation_change: Stat | None
    top1_before: Stat | None
    top5: Stat | None
    compression: Stat | None
    speedup: Stat | None
    file_bytes: Stat | None
    file_ratio: Stat | None
    latency_ms: Stat | None
    measured_speedup: Stat | None
    seconds: Stat | None
    loss: Stat | None
    perplexity: Stat | None
    inference_joules: Stat | None
    energy_ratio: Stat | None
    training_joules: Stat | None
    peak_bytes: Stat | None
    steps: Stat | None
    inference_energy: str | None
    training_energy: str | None


def stat(values: Iterable[float | None]) -> Stat | None:
    """Mean and spread of the values that are there, or None without any.

    Example:
        >>> stat([1.0, None, 3.0])
        Stat(mean=2.0, std=1.4142135623730951, n=2)
    """
    known = [float(v) for v in values if v is not None]
    if not known:
        return None
    n = len(known)
    mean = math.fsum(known) / n
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (n - 1)) if n > 1 else None
    return Stat(mean, std, n)


def pairs(points: Iterable[Point]) -> list[tuple[str, str]]:
    """The (task, model) pairs, in order of appearance."""
    return list(dict.fromkeys((p.task, p.model) for p in points))


def aggregate(points: Iterable[Point]) -> list[Summary]:
    """Group by (task, model, method, target compression).

    Tasks, models and methods keep their order of appearance, controls after the methods; targets ascend.

    Args:
        points: runs, failed ones too.
    """
    groups: dict[tuple[str, str, str, float], list[Point]] = {}
    for p in points:
        groups.setdefault((p.task, p.model, p.method, p.target_compression), []).append(p)
    order = {key: i for i, key in enumerate(dict.fromkeys(k[:3] for k in groups))}
    place = {pair: i for i, pair in enumerate(dict.fromkeys(k[:2] for k in groups))}
    out = [_summary(key, group) for key, group in groups.items()]
    return sorted(out, key=lambda s: (place[s.task, s.model], s.control, order[s.task, s.model, s.method], s.target))


def _summary(key: tuple[str, str, str, float], group: Sequence[Point]) -> Summary:
    task, model, method, target = key
    good = [p for p in group if p.error is None]
    return Summary(
        task=task, model=model, method=method, target=target, control=any(p.control for p in group),
        language=any(p.kind == "language" for p in group), n=len(good), failed=len(group) - len(good),
        inference_energy=said(p.inference_energy for p in good), training_energy=said(p.training_energy for p in good),
        **{m: stat(getattr(p, m) for p in good) for m in METRICS},
    )  # fmt: skip


def said(labels: Iterable[str | None]) -> str | None:
    """The one label, or all of them; None without any.

    Example:
        >>> said(["measured: rapl", None, "measured: rapl"])
        'measured: rapl'
    """
    return " and ".join(sorted({x for x in labels if x is not None})) or None


def dense_stat(points: Iterable[Point], task: str, model: str, metric: str = "top1") -> Stat | None:
    """A figure of the dense network: of the dense control, or of what every seed's runs say of their own dense network.

    Args:
        points: runs.
        task: of the network.
        model: the network.
        metric: a field or property of a point.
    """
    mine = [p for p in points if (p.task, p.model) == (task, model)]
    runs = stat(getattr(p, metric) for p in mine if p.method == DENSE and p.error is None)
    if runs is not None or metric not in ("top1", "loss"):
        return runs
    return stat({p.seed: said for p in mine if (said := getattr(p, f"dense_{metric}")) is not None}.values())


def knee(summaries: Iterable[Summary], dense: Stat | None, within: float = 0.01) -> Summary | None:
    """The highest compression whose mean top-1 is no more than ``within`` below the dense mean.

    It is chosen on the validation split where its figures are there, so that the test figures shown beside it are not
    selected; otherwise on the top-1 at hand. A group with a failed run is never the knee: a mean over those that survived
    is no headline.

    Args:
        summaries: of one (task, model) and usually one method.
        dense: the dense network's top-1.
        within: what may be lost, as a fraction; 0.01 is one point.
    """
    fit = [
        s for s in summaries
        if s.method != DENSE and not s.failed and s.compression is not None and _change(s, dense) >= -within - 1e-9
    ]  # fmt: skip
    return max(fit, key=lambda s: s.compression.mean if s.compression else 0.0, default=None)


def front(summaries: Sequence[Summary]) -> list[Summary]:
    """The groups that no other beats in compression and in accuracy (perplexity, for language) at once; dense is not judged."""
    some = [s for s in summaries if s.method != DENSE]
    values = []
    for s in some:
        y = s.perplexity if s.language else s.top1
        values.append(None if s.compression is None or y is None else (s.compression.mean, y.mean))
    return [some[i] for i in sorted(pareto.front(values, y_up=not any(s.language for s in some)))]


def best(summaries: Iterable[Summary], dense: Stat | None, within: float = 0.01) -> Summary | None:
    """The best knee of the methods that are no controls.

    Compressions within 5 % of the highest count as equal; among them the smallest loss wins.
    """
    by_method: dict[str, list[Summary]] = {}
    for s in summaries:
        if not s.control:
            by_method.setdefault(s.method, []).append(s)
    knees = [k for k in (knee(group, dense, within) for group in by_method.values()) if k is not None]
    reached = {id(k): k.compression.mean for k in knees if k.compression is not None}
    near = [k for k in knees if reached[id(k)] >= 0.95 * max(reached.values())]
    return max(near, key=lambda k: _change(k, dense), default=None)


def _change(s: Summary, dense: Stat | None) -> float:
    """What a group loses or gains against dense, on the validation split if known."""
    if s.validation_change is not None:
        return s.validation_change.mean
    return s.top1.mean - dense.mean if s.top1 is not None and dense is not None else -math.inf
