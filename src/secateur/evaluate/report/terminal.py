"""The closing table of a terminal session."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from . import words as w
from .aggregate import Stat, Summary, aggregate, best, dense_stat, pairs
from .data import Comparison

__all__ = ["rich_table"]

COLUMNS = ("method", "target", "top-1, %", "change", "compr.", "speed-up", "bytes", "ratio", "latency")


def rich_table(comparison: Comparison, within: float = 0.01) -> Table:
    """Accuracy, compression, theoretical speed-up, bytes and latency, a row per method and compression; fits 100 columns.

    Args:
        comparison: what to show.
        within: what the starred knee may lose against dense, as a fraction.

    Example:
        >>> rich_table(Comparison(title="nothing yet")).row_count
        0
    """
    table = Table(
        title=escape(comparison.title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for i, name in enumerate(COLUMNS):
        table.add_column(name, justify="right" if i else "left", no_wrap=True, max_width=None if i else 20)
    groups = aggregate(comparison.points)
    for task, model in pairs(comparison.points):
        mine = [s for s in groups if (s.task, s.model) == (task, model)]
        star = best(mine, dense_stat(comparison.points, task, model), within)
        table.add_section()
        table.add_row(f"[bold]{escape(model)}[/]", "", f"[dim]{escape(task)}[/]", *[""] * (len(COLUMNS) - 3))
        last = ""
        for s in mine:
            table.add_row(*_row(s, s is star, s.method != last), style="green" if s is star else "dim" if s.control else "")
            last = s.method
    table.caption = (
        f"★ furthest within {100 * within:g} pt of dense · mean ± std over seeds · ✕ runs that failed\n"
        "speed-up: theoretical, in multiply-adds · ratio: dense float32 bytes ÷ file bytes"
    )
    return table


def _row(s: Summary, star: bool, first: bool) -> list[str]:
    def mean(x: Stat | None) -> float | None:
        return None if x is None else x.mean

    failed = f" [red]✕{s.failed}[/]" if s.failed else ""
    return [
        f"  {escape(w.title(s.method))}" if first else "",
        f"{'★ ' if star else ''}{s.target:.3g}×",
        w.percent_stat(s.top1) + failed,
        w.change(mean(s.top1_change)),
        w.times(mean(s.compression)),
        w.times(mean(s.speedup)),
        w.size(mean(s.file_bytes)),
        w.times(mean(s.file_ratio)),
        w.millis(mean(s.latency_ms)),
    ]
