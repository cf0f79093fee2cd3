"""``secateur methods``: what is in the catalogue."""

from __future__ import annotations

from rich import box
from rich.table import Table

from ..methods import METHODS
from .console import make_console

__all__ = ["methods"]


def methods() -> None:
    """List the published methods: paper, the five words, and where our reproduction's figures are."""
    table = Table(box=box.SIMPLE_HEAD, title="methods: secateur.methods.NAME(...) returns the recipe", show_lines=True)
    for column in ("method", "paper", "structure · score · allocation · schedule · recovery", "our figures"):
        table.add_column(column, overflow="fold")
    for m in METHODS.values():
        result = "\n".join(f"benchmarks/results/{r}" for r in m.results) or "none yet"
        name = f"{m.name} (control)" if m.control else m.name
        table.add_row(name, f"{m.paper}\n{m.source}", " · ".join(m.axes().values()) + m.then, result)
    make_console().print(table)
