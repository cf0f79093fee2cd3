"""The closing table of a terminal session."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from . import words as w
from .aggregate import Stat, Summary, aggregate, best, dense_stat, pairs
from .data import Comparison

__all__ = ["rich_table"]

COLUMNS = ("method", "target", "top-1, %", "change", "compr.", "speed-up", "bytes", "ratio", "latency")
LEFT_OUT = ((), ("ratio",), ("ratio", "change"), ("ratio", "change", "target"))  # for less and less room


def rich_table(comparison: Comparison, within: float = 0.01, width: int = 100) -> Table:
    """Accuracy, compression, theoretical speed-up, bytes and latency, a row per method and compression.

    What does not fit is left out as whole columns: the file ratio first, then the change against dense, then the target.

    Args:
        comparison: what to show.
        within: what the starred knee may lose against dense, as a fraction.
        width: columns of text there is room for.

    Example:
        >>> rich_table(Comparison(title="nothing yet")).row_count
        0
    """
    wide = Console(width=1000)
    for without in LEFT_OUT:
        table = _table(comparison, within, [c for c in COLUMNS if c not in without])
        if Measurement.get(wide, wide.options, table).maximum <= width:
            break
    return table


def _table(comparison: Comparison, within: float, columns: list[str]) -> Table:
    table = Table(
        title=escape(comparison.title), title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
        padding=(0, 1, 0, 0),
    )  # fmt: skip
    for name in columns:
        if name == "method":  # a user's own label may be long: it is folded
            table.add_column(name, overflow="fold", max_width=20)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    groups = aggregate(comparison.points)
    for task, model in pairs(comparison.points):
        mine = [s for s in groups if (s.task, s.model) == (task, model)]
        star = best(mine, dense_stat(comparison.points, task, model), within)
        table.add_section()
        heading = {"method": f"[bold]{escape(model)}[/]", "top-1, %": f"[dim]{escape(task)}[/]"}
        table.add_row(*(heading.get(c, "") for c in columns))
        last = ""
        for s in mine:
            cells = _row(s, s.method != last)
            if s is star:
                marked = "target" if "target" in columns else "compr."
                cells[marked] = f"★ {cells[marked]}"
            table.add_row(*(cells[c] for c in columns), style="green" if s is star else "dim" if s.control else "")
            last = s.method
    table.caption = (
        f"★ furthest within {100 * within:g} pt of dense · mean ± std over seeds · ✕ runs that failed\n"
        "speed-up: theoretical, in multiply-adds · ratio: dense float32 bytes ÷ file bytes"
    )
    return table


def _row(s: Summary, first: bool) -> dict[str, str]:
    def mean(x: Stat | None) -> float | None:
        return None if x is None else x.mean

    failed = f" [red]✕{s.failed}[/]" if s.failed else ""
    return {
        "method": f"  {escape(w.title(s.method))}" if first else "",
        "target": f"{s.target:.3g}×",
        "top-1, %": w.percent_stat(s.top1) + failed,
        "change": w.change(mean(s.top1_change)),
        "compr.": w.times(mean(s.compression)),
        "speed-up": w.times(mean(s.speedup)),
        "bytes": w.size(mean(s.file_bytes)),
        "ratio": w.times(mean(s.file_ratio)),
        "latency": w.millis(mean(s.latency_ms)),
    }
