"""The tables of the page as plain cells: what is shown, what it sorts by."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Sequence

from . import words as w
from .aggregate import Stat, Summary
from .data import Point
from .figures.layers import Kept, names_of

__all__ = ["Cell", "Table", "layer_table", "point_table", "summary_table"]


@dc.dataclass(frozen=True)
class Cell:
    """One cell: text, the value it sorts by, a class and a badge."""

    text: str
    value: float | str | None = None
    kind: str = ""
    badge: str = ""


@dc.dataclass(frozen=True)
class Table:
    """A captioned table; columns are (heading, explanation, numeric)."""

    id: str
    caption: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: list[list[Cell]]
    grouped: bool = False


SUMMARY = (
    ("Method", "Name of the method", False),
    ("Target", "Compression asked for", True),
    ("Runs", "Runs that ended, of those begun", True),
    ("Top-1, %", "Mean ± standard deviation over seeds", True),
    ("Change", "Top-1 minus the same seed's dense Top-1, points", True),
    ("Before", "Top-1 right after pruning, before fine-tuning, %", True),
    ("Top-5, %", "Given from 10 classes up", True),
    ("Compression", "Parameters ÷ non-zero parameters, over all tensors", True),
    ("Speed-up", "Theoretical: multiply-adds ÷ those left", True),
    ("File", "Size of the saved file", True),
    ("File ratio", "Dense float32 bytes ÷ file bytes", True),
    ("Latency", "Median latency of one batch", True),
    ("Measured", "Dense latency ÷ latency", True),
)

POINT = (
    ("Task", "Data set", False), ("Model", "Network", False), ("Method", "Name of the method", False),
    ("Seed", "Seed of the run", True), *SUMMARY[1:2], ("Top-1, %", "After recovery", True), *SUMMARY[4:13],
    ("Seconds", "What the run took", True), ("Run", "Folder of the run", False),
)  # fmt: skip


def summary_table(id: str, caption: str, summaries: Sequence[Summary], star: Summary | None) -> Table:
    """A row per (method, target); the knee carries a badge."""
    rows = [_summary_row(s, "knee" if s is star else "") for s in summaries]
    return _without_empty(Table(id, caption, SUMMARY, rows, grouped=True))


def _summary_row(s: Summary, badge: str) -> list[Cell]:
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
        Cell(w.percent_stat(s.top5), mean(s.top5)),
        Cell(w.times(mean(s.compression)), mean(s.compression)),
        Cell(w.times(mean(s.speedup)), mean(s.speedup)),
        Cell(w.size(mean(s.file_bytes)), mean(s.file_bytes)),
        Cell(w.times(mean(s.file_ratio)), mean(s.file_ratio)),
        Cell(w.millis(mean(s.latency_ms)), mean(s.latency_ms)),
        Cell(w.times(mean(s.measured_speedup)), mean(s.measured_speedup)),
    ]


def point_table(id: str, caption: str, points: Sequence[Point]) -> Table:
    """A row per run; a failed run says why in the place of its accuracy."""
    return _without_empty(Table(id, caption, POINT, [_point_row(p) for p in points]))


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
        Cell(w.times(p.compression), p.compression),
        Cell(w.times(p.speedup), p.speedup),
        Cell(w.size(p.file_bytes), p.file_bytes),
        Cell(w.times(p.file_ratio), p.file_ratio),
        Cell(w.millis(p.latency_ms), p.latency_ms),
        Cell(w.times(p.measured_speedup), p.measured_speedup),
        Cell(w.MISSING if p.seconds is None else f"{p.seconds:.1f}", p.seconds),
        Cell(p.id or w.MISSING, p.id, "code"),
    ]


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
