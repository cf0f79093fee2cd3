"""Tables for the terminal."""

from __future__ import annotations

import io
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


def pruner_table(pruner: Pruner) -> Any:
    """What a pruner prunes, how far, and what it leaves dense and why."""
    from rich import box
    from rich.table import Table

    recipe = pruner.recipe
    words = " · ".join(getattr(recipe, a).name for a in ("structure", "score", "allocation", "schedule", "recovery"))
    table = Table(title=f"{words}: {pruner.sparsity:.2%} of {pruner.prunable:,} prunable parameters pruned", box=box.SIMPLE_HEAD)
    table.add_column("parameter")
    table.add_column("shape")
    table.add_column("left", justify="right")
    table.add_column("sparsity", justify="right")
    table.add_column("stays dense because", style="dim")
    for name in [n for n, _ in pruner.model.named_parameters() if n in pruner.targets or n in pruner.dense]:
        p = pruner.model.get_parameter(name)
        left = int(pruner.masks[name].sum()) if name in pruner.masks else p.numel()
        sparsity = f"{1 - left / p.numel():.2%}" if name in pruner.targets else ""
        table.add_row(name, "×".join(map(str, p.shape)), f"{left:,}", sparsity, pruner.dense.get(name, ""))
    return table
