"""``secateur inspect``: what is in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from ..codec import Row, inspect_file, read_metadata, read_shape
from .coded_table import bytes_table, coded_table
from .console import make_console

__all__ = ["inspect"]


def inspect(file: Annotated[Path, typer.Argument(help="a file written by secateur.save or secateur.compress")]) -> None:
    """Show every tensor of a saved network: shape, type, how it is stored, what is left of it, bytes.

    Of one that was shrunken also what changed; of a compressed one, the bits of its values and positions before and after
    coding, and where every byte goes.
    """
    rows, changed = inspect_file(file), read_shape(file)
    console = make_console()
    if any(r.parts is not None for r in rows):
        console.print(coded_table(rows, file.stat().st_size, file.name))
        console.print(bytes_table(rows, file.stat().st_size))
    else:
        console.print(_table(rows, file))
    _rest(console, file, changed)


def _table(rows: list[Row], file: Path) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=f"{file.name}: {file.stat().st_size:,} bytes")
    for column in ("tensor", "shape", "type", "layout"):
        table.add_column(column)
    for column in ("entries", "non-zero", "left", "bytes"):
        table.add_column(column, justify="right")
    for r in rows:
        entries = 1
        for n in r.shape:
            entries *= n
        left = f"{r.nonzero / entries:.2%}" if entries and r.nonzero is not None else ""
        nonzero = "" if r.nonzero is None else f"{r.nonzero:,}"
        shape = "×".join(map(str, r.shape)) or "scalar"
        table.add_row(r.name, shape, str(r.dtype).removeprefix("torch."), r.layout, f"{entries:,}", nonzero, left, f"{r.bytes:,}")
    return table


def _rest(console: Console, file: Path, changed: dict[str, tuple[int, int] | None] | None) -> None:
    if changed is not None:
        blocks = sum(sizes is None for sizes in changed.values())
        counts = f"{len(changed) - blocks} integers of its modules changed, {blocks} blocks gone"
        console.print(f"shrunken, {counts}: secateur.load makes a dense model as small", highlight=False, soft_wrap=True)
        console.print(_shape(changed))
    for key, value in read_metadata(file).items():
        console.print(f"{key}: {value}", style="dim", highlight=False, soft_wrap=True)


def _shape(changed: dict[str, tuple[int, int] | None]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("integer or block", overflow="fold")
    for column in ("made with", "now"):
        table.add_column(column, justify="right")
    for name, sizes in changed.items():
        table.add_row(name, *(f"{n:,}" for n in sizes or ()), *(() if sizes else ("", "gone")))
    return table
