"""Tables for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pruner import Pruner

__all__ = ["as_text", "pruner_table"]


def as_text(renderable: Any, width: int = 110) -> str:
    """A rich renderable as plain text."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(renderable)
    return out.getvalue().rstrip("\n")


def pruner_table(pruner: Pruner, rows: Sequence[tuple[str, str, int | None, float | None, str]]) -> Any:
    """What a pruner prunes, how far, and what it leaves dense and why."""
    from rich import box
    from rich.table import Table

    recipe = pruner.recipe
    words = " · ".join(getattr(recipe, a).name for a in ("structure", "score", "allocation", "schedule", "recovery"))
    table = Table(title=f"{words}: {pruner.sparsity:.2%} of {pruner.prunable:,} prunable parameters pruned", box=box.SIMPLE_HEAD)
    table.add_column("name")
    table.add_column("size")
    table.add_column("left", justify="right")
    table.add_column("sparsity", justify="right")
    table.add_column("stays dense because", style="dim")
    for name, size, left, sparsity, why in rows:
        table.add_row(name, size, "" if left is None else f"{left:,}", "" if sparsity is None else f"{sparsity:.2%}", why)
    return table
