"""The tables of the page as plain cells: what is shown, what it sorts by."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Sequence

from . import words as w
from .aggregate import Stat, Summary, said
from .data import Point, Published
from .figures.layers import Kept, names_of
from .significance import Difference

__all__ = ["Cell", "Table", "cost_table", "difference_table", "layer_table", "point_table", "published_table", "summary_table"]


Columns = tuple[tuple[str, str, bool], ...]
"""Heading, explanation, and whether it holds numbers."""


@dc.dataclass(frozen=True)
class Cell:
    """One cell: text, the value it sorts by, a class, a badge, and what the pointer is told."""

    text: str
    value: float | str | None = None
    kind: str = ""
    badge: str = ""
    hint: str = ""


@dc.dataclass(frozen=True)
class Table:
    """A captioned table."""

    id: str
    caption: str
    columns: Columns
    rows: list[list[Cell]]
    grouped: bool = False
    sortable: bool = True


SUMMARY = (
    ("Method", "Name of the method", False),
    ("Target", "Compression asked for", True),
    ("Runs", "Runs that ended, of those begun", True),
    ("Top-1, %", "Mean ± standard deviation over seeds", True),
    ("Change", "Top-1 minus the same seed's dense Top-1, points", True),
    ("Before", "Top-1 right after pruning, before fine-tuning, %", True),
    ("Top-5, %", "Mean over seeds; given from 10 classes up", True),
    ("Perplexity", "e to the loss", True),
    ("Front", "No other method has both a higher compression and a better accuracy (perplexity, for language)", False),
    ("Compression", "Parameters ÷ non-zero parameters, over all tensors", True),
    ("Speed-up", "Theoretical: multiply-adds ÷ those left", True),
    ("File", "Size of the saved file", True),
    ("Ratio", "Dense float32 bytes ÷ file bytes", True),
    ("Latency", "Median latency of one batch", True),
    ("Measured", "Dense latency ÷ latency", True),
    ("Energy", "Joules of one inference", True),
)

COST = (
    ("Method", "Name of the method", False),
    ("Runs", "Runs that ended", True),
    ("A run", "Mean time of one run's own training, pruning and recovery", True),
    ("All runs", "The same, summed", True),
    ("Steps", "Optimizer steps of one run, mean", True),
    ("Peak memory", "Most memory while it ran, mean over runs", True),
    ("Energy, a run", "Joules of one run's own training, mean", True),
)

POINT = (
    ("Task", "Data set", False), ("Model", "Network", False), ("Method", "Name of the method", False),
    ("Seed", "Seed of the run", True), *SUMMARY[1:2], ("Top-1, %", "After recovery", True), *SUMMARY[4:8], *SUMMARY[9:],
    ("Seconds", "What the run took", True), ("Memory", "Most memory while it ran", True), ("Run", "Folder of the run", False),
)  # fmt: skip


def summary_table(
    id: str, caption: str, summaries: Sequence[Summary], star: Summary | None, best: Sequence[Summary] = ()
) -> Table:
    """A row per (method, target); the knee carries a badge, what is on the Pareto front a mark."""
    rows = [_summary_row(s, "knee" if s is star else "", any(s is b for b in best)) for s in summaries]
    columns = _labelled(SUMMARY, said(s.inference_energy for s in summaries))
    return _without_empty(Table(id, caption, columns, rows, grouped=True))


def _summary_row(s: Summary, badge: str, on_front: bool) -> list[Cell]:
    def mean(x: Stat | None) -> float | None:
        return None if x is None else x.mean

    runs = f"{s.n}" if not s.failed else f"{s.n} of {s.n + s.failed}"
    return [
        Cell(w.title(s.method), s.method, "control" if s.control else "name", badge),
        Cell(f"{s.target:.3g}×", s.target),
        Cell(runs, s.n, "bad" if s.failed else ""),
        Cell(w.percent_stat(s.top1), mean(s.top1), "strong"),
        Cell(w.change(mean(s.top1_change)), mean(s.top1_change)),
        Cell(w.percent(mean(s.top1_before)), mean(s.top1_before)),
        Cell(w.percent(mean(s.top5)), mean(s.top5)),
        Cell(w.number_stat(s.perplexity) if s.language else w.MISSING, mean(s.perplexity), "strong"),
        Cell("◯" if on_front else w.MISSING, int(on_front), "front" if on_front else "none"),
        Cell(w.times(mean(s.compression)), mean(s.compression)),
        Cell(w.times(mean(s.speedup)), mean(s.speedup)),
        Cell(w.size(mean(s.file_bytes)), mean(s.file_bytes)),
        Cell(w.times(mean(s.file_ratio)), mean(s.file_ratio)),
        Cell(w.millis(mean(s.latency_ms)), mean(s.latency_ms)),
        Cell(w.times(mean(s.measured_speedup)), mean(s.measured_speedup)),
        Cell(w.joules(mean(s.inference_joules)), mean(s.inference_joules)),
    ]


def cost_table(id: str, caption: str, summaries: Sequence[Summary]) -> Table:
    """A row per method: what its runs took, all compressions together."""
    methods = dict.fromkeys((s.method, s.control) for s in summaries)
    rows = []
    for method, control in methods:
        mine = [s for s in summaries if s.method == method]

        def mean(name: str, mine: Sequence[Summary] = mine) -> float | None:
            stats: list[Stat] = [x for s in mine if (x := getattr(s, name)) is not None]
            n = sum(x.n for x in stats)
            return sum(x.mean * x.n for x in stats) / n if n else None

        runs = sum(s.n for s in mine)
        seconds, memory, joules, steps = map(mean, ("seconds", "peak_bytes", "training_joules", "steps"))
        whole = None if seconds is None else sum(s.seconds.mean * s.seconds.n for s in mine if s.seconds is not None)
        rows.append([
            Cell(w.title(method), method, "control" if control else "name"),
            Cell(str(runs), runs),
            Cell(w.duration(seconds), seconds),
            Cell(w.duration(whole), whole),
            Cell(w.MISSING if steps is None else f"{steps:,.0f}", steps),
            Cell(w.size(memory), memory),
            Cell(w.joules(joules), joules),
        ])  # fmt: skip
    return _without_empty(Table(id, caption, _labelled(COST, said(s.training_energy for s in summaries)), rows))


def difference_table(id: str, caption: str, some: Sequence[Difference]) -> Table:
    """A method a row and a column: the row's Top-1 minus the column's, in points, or its loss, at one compression."""
    methods = list(dict.fromkeys(m for d in some for m in (d.a, d.b)))
    by_pair = {(d.a, d.b): (d, 1) for d in some} | {(d.b, d.a): (d, -1) for d in some}
    unit = "Nats of loss" if any(d.metric == "loss" for d in some) else "Points of Top-1"
    columns = (("Row minus column", unit, False), *((w.title(m), "", True) for m in methods))
    same = Cell("·", None, "self")
    rows = [
        [Cell(w.title(a), a, "name"), *(_difference(*by_pair[a, b]) if (a, b) in by_pair else same for b in methods)]
        for a in methods
    ]
    return Table(id, caption, columns, rows, sortable=False)


def _difference(d: Difference, sign: int) -> Cell:
    low, high = (d.low, d.high) if sign > 0 else (None if d.high is None else -d.high, None if d.low is None else -d.low)
    verdict = d.verdict
    if sign < 0 and verdict in ("better", "worse"):
        verdict = {"better": "worse", "worse": "better"}[verdict]
    shown = w.nats if d.metric == "loss" else w.change
    clear = low is not None and high is not None and not low <= 0 <= high
    mark = {"better": "▲ ", "worse": "▼ "}.get(verdict, "") or ("° " if clear else "")
    interval = "" if low is None or high is None else f", 95 % t interval {shown(low)} to {shown(high)}"
    hint = f"{verdict}: {w.count(d.n, 'seed')}{interval}, exact p {w.p_value(d.p)}, after Holm {w.p_value(d.p_holm)}"
    kind = verdict if verdict in ("better", "worse") else "clear" if clear else "even"
    return Cell(mark + shown(sign * d.mean), sign * d.mean, kind, hint=hint)


def point_table(id: str, caption: str, points: Sequence[Point]) -> Table:
    """A row per run; a failed run says why in the place of its accuracy."""
    columns = _labelled(POINT, said(p.inference_energy for p in points))
    return _without_empty(Table(id, caption, columns, [_point_row(p) for p in points]))


def _labelled(columns: Columns, how: str | None) -> Columns:
    """The columns, that of energy with who counted: a figure without it says nothing."""
    short = "" if how is None else ", " + " and ".join(x.removeprefix("measured: ").split(":")[0] for x in how.split(" and "))
    return tuple((n + short, f"{x}, {how}", k) if n.startswith("Energy") else (n, x, k) for n, x, k in columns)


def _point_row(p: Point) -> list[Cell]:
    top1 = Cell(w.percent(p.top1), p.top1, "strong")
    return [
        Cell(p.task, p.task),
        Cell(p.model, p.model),
        Cell(w.title(p.method), p.method, "control" if p.control else "name"),
        Cell(str(p.seed), p.seed),
        Cell(f"{p.target_compression:.3g}×", p.target_compression),
        top1 if p.error is None else Cell("failed", None, "bad"),
        Cell(w.change(p.top1_change), p.top1_change),
        Cell(w.percent(p.top1_before), p.top1_before),
        Cell(w.percent(p.top5), p.top5),
        Cell(f"{p.perplexity:.3f}" if p.kind == "language" and p.perplexity is not None else w.MISSING, p.perplexity),
        Cell(w.times(p.compression), p.compression),
        Cell(w.times(p.speedup), p.speedup),
        Cell(w.size(p.file_bytes), p.file_bytes),
        Cell(w.times(p.file_ratio), p.file_ratio),
        Cell(w.millis(p.latency_ms), p.latency_ms),
        Cell(w.times(p.measured_speedup), p.measured_speedup),
        Cell(w.joules(p.inference_joules), p.inference_joules),
        Cell(w.MISSING if p.seconds is None else f"{p.seconds:.1f}", p.seconds),
        Cell(w.size(p.peak_bytes), p.peak_bytes),
        Cell(p.id or w.MISSING, p.id, "code"),
    ]


PUBLISHED = (
    ("Task", "Data set", False), ("Model", "Network", False), ("Method", "As the paper calls it", False),
    ("Source", "The paper", False), ("Compression", "Parameters ÷ non-zero parameters", True),
    ("Speed-up", "Theoretical: multiply-adds ÷ those left", True), ("Top-1, %", "As published", True),
    ("Change", "Against the paper's own dense network, points", True), ("Top-5, %", "As published", True),
    ("Perplexity", "As published", True),
)  # fmt: skip


def published_table(some: Sequence[Published]) -> Table:
    """A row per published result."""
    rows = [
        [
            Cell(p.task, p.task), Cell(p.model, p.model), Cell(p.method, p.method), Cell(p.source or w.MISSING, p.source),
            Cell(w.times(p.compression), p.compression), Cell(w.times(p.speedup), p.speedup),
            Cell(w.percent(p.top1), p.top1, "strong"), Cell(w.change(p.top1_change), p.top1_change),
            Cell(w.percent(p.top5), p.top5), Cell(w.MISSING if p.perplexity is None else f"{p.perplexity:.3f}", p.perplexity),
        ]
        for p in some
    ]  # fmt: skip
    return _without_empty(Table("published-results", "Published results laid over the curves", PUBLISHED, rows))


def layer_table(id: str, caption: str, kept: Kept, limit: int = 1500) -> Table | None:
    """Per-layer sparsity in percent: a row per (method, target), a column per layer; None when it would be too big."""
    names = names_of(kept)
    runs = [(m, t, layers) for m, by in kept.items() for t, layers in by.items()]
    if not names or len(names) * len(runs) > limit:
        return None
    columns = (("Method", "Name of the method", False), ("Target", "Compression asked for", True))
    rows = [
        [Cell(w.title(m), m, "name"), Cell(f"{t:.3g}×", t)]
        + [Cell(w.percent(1 - v if v is not None else None, 1), 1 - v if v is not None else None) for v in map(layers.get, names)]
        for m, t, layers in runs
    ]
    return Table(id, caption, columns + tuple((n, "Entries removed, %", True) for n in names), rows, grouped=True)


def _without_empty(table: Table) -> Table:
    """The table without the columns nobody measured."""
    keep = [i for i in range(len(table.columns)) if any(row[i].text != w.MISSING for row in table.rows)]
    rows = [[row[i] for i in keep] for row in table.rows]
    return dc.replace(table, columns=tuple(table.columns[i] for i in keep), rows=rows)
