"""The table of a compressed file: Deep Compression's columns, and where every byte goes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from rich import box
from rich.table import Table

from ..codec import Row
from ..codec.accounting import coded_bits, size_before_coding

__all__ = ["bytes_table", "coded_table"]


def _dense(row: Row) -> int:
    return prod(row.shape) * getattr(torch, row.dtype).itemsize if row.layout[0] != "=" else 0


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}" if whole else ""


def coded_table(rows: Sequence[Row], size: int, name: str) -> Table:
    """What is left of each tensor, bits of its values and positions before and after coding, and its size in percent of dense.

    Args:
        rows: of the file's tensors.
        size: bytes of the file.
        name: of the file.
    """
    dense = sum(map(_dense, rows))
    title = f"{name}: {size:,} bytes, {dense / max(size, 1):.1f} times smaller than dense"
    caption = "bits before → after coding; size in percent of dense, P+Q before, P+Q+H after"
    table = Table(box=box.SIMPLE_HEAD, title=title, caption=caption)
    table.add_column("tensor", overflow="fold")
    for column in ("shape", "layout"):
        table.add_column(column)
    for column in ("kept %", "weight bits", "index bits", "bytes", "P+Q %", "P+Q+H %"):
        table.add_column(column, justify="right", no_wrap=True)
    before_all = 0.0
    for r in rows:
        shape = "×".join(map(str, r.shape)) or "scalar"
        if r.parts is None:
            table.add_row(r.name, shape, r.layout, "", "", "", "0", "", "")
            continue
        weight, index = coded_bits(r.parts)
        before = size_before_coding(r.parts)
        before_all += before
        kept = _percent(r.nonzero, prod(r.shape))
        bits = f"{r.parts.weight_bits} → {weight:.1f}", f"{r.parts.index_bits:.1f} → {index:.1f}" if r.parts.index_bits else ""
        table.add_row(
            r.name, shape, r.layout, kept, *bits, f"{r.bytes:,}", _percent(before, _dense(r)), _percent(r.bytes, _dense(r))
        )  # fmt: skip
    entries = sum(prod(r.shape) for r in rows if r.parts is not None)
    kept = _percent(sum(r.nonzero for r in rows if r.parts is not None), entries)
    table.add_section()
    table.add_row("all", "", "", kept, "", "", f"{size:,}", _percent(before_all, dense), _percent(size, dense), style="bold")
    return table


def bytes_table(rows: Sequence[Row], size: int) -> Table:
    """Where the bytes of a file go: positions, values, codebooks, vectors, and the header with the index."""
    matrices = [r.parts for r in rows if r.parts is not None and len(r.shape) > 1]
    vectors = sum(r.bytes for r in rows if r.parts is not None and len(r.shape) < 2)
    fillers = sum(r.parts.listed - r.nonzero for r in rows if r.parts is not None and len(r.shape) > 1 and r.parts.listed)
    found = {
        "positions": sum(p.positions for p in matrices),
        "values": sum(p.values for p in matrices),
        "codebooks": sum(p.codebook for p in matrices),
        "biases and other vectors": vectors,
        "layout bytes": sum(p.other for p in matrices),
        "header, names, shapes, checksums": size - sum(r.bytes for r in rows),
    }
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("where the bytes go")
    for column in ("bytes", "%"):
        table.add_column(column, justify="right")
    for what, count in found.items():
        table.add_row(what, f"{count:,.0f}", _percent(count, size))
    if fillers:
        table.add_row(f"of positions and values, {fillers:,} zeros listed as fillers", "", "", style="dim")
    return table
