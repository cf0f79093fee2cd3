"""``secateur bench``: what zeros save on this machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from ..core.errors import RecipeError, require
from ..runtime.breakeven import LAYERS, break_even
from ..runtime.target import TARGETS, host
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


@app.command("ops")
def ops(
    op: Annotated[str | None, typer.Argument(help="one kernel; by default all")] = None,
    mode: Annotated[str, typer.Option(help="test: against float64; perf: against torch; support: which vectors")] = "perf",
) -> None:
    """Every kernel by itself, on cases as networks have them: one thread."""
    require("llvmlite.binding", "cpu")
    from ..runtime import bench

    shown = list(bench.CASES) if op is None else [op]
    if mode not in _HEADS or not set(shown) <= set(bench.CASES):
        raise RecipeError(
            f"bench ops: OP is one of {', '.join(bench.CASES)} and --mode one of {', '.join(_HEADS)}; got {op!r} and {mode!r}"
        )
    console = make_console()
    table = Table(title=f"kernels, {host().name}, one thread", box=box.SIMPLE_HEAD)
    for head in ("kernel", "case", *_HEADS[mode]):
        table.add_column(head)
    with console.status("at work") as status:
        for name in shown:
            for case in bench.CASES[name]:
                status.update(f"{name}: {case}")
                table.add_row(name, case, *_figures(name, case, mode))
    console.print(table)


_HEADS = {"test": ("difference to float64",), "perf": ("ms", "eager torch ms", "times faster"), "support": tuple(TARGETS)}


def _figures(name: str, case: str, mode: str) -> list[str]:
    from ..runtime import bench

    if mode == "test":
        return [f"{bench.error(name, case):.1e}"]
    if mode == "support":
        return list(bench.support(name, case).values())
    ours, theirs = bench.milliseconds(name, case)
    return [f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.1f}×"]
