"""A measurement as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .report.words import joules

if TYPE_CHECKING:
    from .measure import Measurement

__all__ = ["table"]


def table(m: Measurement) -> Table:
    """One row a layer, the whole network in the last row and below."""
    rows = Table(caption=Text("\n".join(_summary(m))), caption_justify="left", show_footer=True)
    rows.add_column("layer", "total", overflow="fold")
    rows.add_column("shape", justify="right")
    rows.add_column("non-zero", f"{m.nonzero:,}", justify="right")
    total = 1 - m.nonzero / m.parameters if m.parameters else 0.0
    rows.add_column("sparsity", f"{total:.1%}", justify="right")
    rows.add_column("MACs", _count(m.macs), justify="right")
    rows.add_column("effective", _count(m.effective_macs), justify="right")
    for layer in m.layers:
        shape = "" if layer.shape is None else "×".join(map(str, layer.shape)) or "1"
        sparsity = "" if layer.sparsity is None else f"{layer.sparsity:.1%}"
        nonzero = "" if layer.nonzero is None else f"{layer.nonzero:,}"
        macs = (_count(layer.macs), _count(layer.effective_macs)) if layer.macs != 0 else ("", "")
        rows.add_row(Text(layer.name), shape, nonzero, sparsity, *macs)
    return rows


def _summary(m: Measurement) -> list[str]:
    lines = [f"{m.parameters:,} parameters, {m.nonzero:,} non-zero: compression {m.compression:.2f}×"]
    if m.speedup is not None:
        lines.append(f"{_count(m.macs)} multiply-adds, {_count(m.effective_macs)} effective: theoretical {m.speedup:.2f}×")
    if m.file_ratio is not None:
        lines.append(f"{m.dense_bytes:,} bytes dense, {_count(m.file_bytes)} in the file: {m.file_ratio:.2f}×")
    if m.latency is not None:
        t = m.latency
        batch = f"batch {m.batch}, {t.device}, {t.threads} thread{'s' * (t.threads != 1)}"
        lines.append(f"{t.median_ms:.3f} ms (IQR {t.iqr:.3f}, {t.repeats} repeats; {batch})")
    if m.energy is not None:
        parts = {"arithmetic": m.energy.arithmetic, "SRAM": m.energy.sram, "DRAM": m.energy.dram}
        shares = ", ".join(f"{name} {v / m.energy.joules:.0%}" for name, v in parts.items() if v is not None and m.energy.joules)
        lines.append(f"{joules(m.energy.joules)} an inference, {m.energy.how}" + (f" ({shares})" if shares else ""))
    return [*lines, *m.notes]


def _count(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"
