"""What can be reached, before anything is cut."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import nn

from .core.statistics import Loss
from .pruner import Pruner
from .recipe import Recipe

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Reach", "Row", "reach"]

_TENTHS = tuple(round(0.1 * k, 1) for k in range(1, 10))


@dc.dataclass(frozen=True)
class Row:
    """What is left at one sparsity.

    Attributes:
        sparsity: the fraction that the recipe is asked to remove.
        params: parameters left.
        macs: multiply-adds left, of one example.
        bytes: bytes left.
        latency: milliseconds of a call on the example inputs; None when not asked for.
    """

    sparsity: float
    params: float
    macs: float
    bytes: float
    latency: float | None = None


@dc.dataclass(frozen=True)
class Reach:
    """What a recipe leaves of a model, from nothing removed to as much as can be; prints as a table.

    Attributes:
        dense: the model as it is.
        rows: one a sparsity; the last is the most that the recipe can remove.
    """

    dense: Row
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; every amount also as the fraction of the dense model's."""
        return {"dense": dc.asdict(self.dense), "rows": [{**dc.asdict(r), "fraction": self.fractions(r)} for r in self.rows]}

    def fractions(self, row: Row) -> dict[str, float]:
        """A row's amounts over the dense model's."""
        dense = dc.asdict(self.dense)
        return {k: v / dense[k] for k, v in dc.asdict(row).items() if k != "sparsity" and v is not None and dense[k]}

    def __rich__(self) -> Table:
        from rich import box
        from rich.table import Table

        timed = self.dense.latency is not None
        table = Table(title="what can be reached", box=box.SIMPLE_HEAD)
        for name in ("sparsity", "parameters", "", "multiply-adds", "", "bytes", "", *(("milliseconds", "") if timed else ())):
            table.add_column(name, justify="right")
        for row in (self.dense, *self.rows):
            shares = self.fractions(row)
            amounts = [("params", f"{row.params:,.0f}"), ("macs", f"{row.macs:,.0f}"), ("bytes", f"{row.bytes:,.0f}")]
            amounts += [("latency", f"{row.latency:.3f}")] if row.latency is not None else []
            label = "dense" if row is self.dense else f"{row.sparsity:.0%}" if row is not self.rows[-1] else "most"
            table.add_row(label, *(x for k, text in amounts for x in (text, f"{shares[k]:.1%}" if k in shares else "")))
        return table

    def __str__(self) -> str:
        from .core.show import as_text

        return as_text(self)

    __repr__ = __str__


def reach(
    model: nn.Module,
    example_inputs: Any,
    recipe: Recipe,
    *,
    sparsities: Iterable[float] = _TENTHS,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    latency: bool = False,
    device: str = "cpu",
) -> Reach:
    """What a recipe would leave of a model at every tenth of sparsity and at the most; the model is left alone.

    Counts are those of the model with its units cut out, and latency is measured on copies that really are; for
    structures that only set weights to zero, of what is not zero, and of the file.

    Args:
        model: any module that can be traced.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        recipe: the method; its schedule and recovery have no say.
        sparsities: the fractions to try.
        data: batches, for scores that need data.
        loss: ``loss(model, batch)`` → scalar, when the default does not fit the batches.
        latency: whether to time each row.
        device: where to time.

    Raises:
        ModelError: the recipe fits nothing in the model, or it cannot be traced.

    Example:
        >>> import torch
        >>> from secateur.structure import Neurons
        >>> mlp = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 2))
        >>> found = reach(mlp, torch.zeros(1, 4), Recipe(structure=Neurons()))
        >>> found.dense.params, found.rows[4].params, found.rows[-1].params
        (72.0, 37.0, 9.0)
    """
    tried = (0.0, *sparsities, 1.0)
    recipe = dc.replace(recipe, recovery=Recipe().recovery)
    pruner = Pruner(model, recipe, example_inputs=example_inputs, data=data, loss=loss)
    wanted = ("params", "macs", "bytes", *(("latency",) if latency else ()))
    most = recipe.structure.max_sparsity
    found = pruner.preview((s * most for s in tried), wanted, device)
    rows = [Row(sparsity=s * most, **values) for s, values in zip(tried, found, strict=True)]
    return Reach(rows[0], tuple(rows[1:]))
