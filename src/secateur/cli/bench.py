"""``secateur bench``: what zeros save on this machine."""

from __future__ import annotations

import typer
from rich import box
from rich.table import Table

from ..core.errors import require
from ..runtime.breakeven import LAYERS, break_even
from ..runtime.target import host
from .console import make_console

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What zeros save on this machine.")
_SHOWN = (0.5, 0.7, 0.9, 0.95)


@app.callback()
def _only() -> None:
    """What zeros save on this machine."""


@app.command("kernels")
def kernels() -> None:
    """From which sparsity on a layer is faster than dense, by kind of layer, and how much: one thread, a minute or two."""
    require("llvmlite.binding", "cpu")
    console = make_console()
    table = Table(title=f"times faster than the dense kernel, {host().name}, one thread", box=box.SIMPLE_HEAD)
    table.add_column("layer")
    for head in ("dense ms", *(f"{s:.0%}" for s in _SHOWN), "90%, 8×1 blocks", "pays from"):
        table.add_column(head, justify="right")
    with console.status("timing") as status:
        for name in LAYERS:
            status.update(f"timing {name}")
            line = break_even(name)
            times = [line.dense_ms / line.sparse_ms[s] for s in _SHOWN] + [line.dense_ms / line.blocks_ms]
            pays = "never" if line.break_even is None else f"{line.break_even:.0%}"
            table.add_row(name, f"{line.dense_ms:.3f}", *(f"{t:.1f}×" for t in times), pays)
    console.print(table)
