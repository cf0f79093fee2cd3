"""What a compiled model does, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.show import as_text

__all__ = ["Layer", "Report"]


@dataclass(frozen=True)
class Layer:
    """One line of the table.

    Attributes:
        name: of the layer, as in the model where it has weights.
        kernel: what computes it.
        layout: of its values.
        sparsity: fraction of its weights that are zero; None without weights.
        milliseconds: on one thread, for the example inputs; None for what torch does.
        why: this kernel.
    """

    name: str
    kernel: str
    layout: str
    sparsity: float | None
    milliseconds: float | None
    why: str


@dataclass(frozen=True)
class Report:
    """All layers of a compiled model.

    Attributes:
        layers: in the order they run.
        threads: that share a call.
        vectors: kind of vector instructions; None where torch does everything.
        error: largest difference to eager on the example inputs / largest output.
        nbytes: of the packed weights.
        nonzeros: of the weights.
    """

    layers: tuple[Layer, ...]
    threads: int
    vectors: str | None
    error: float
    nbytes: int
    nonzeros: int

    def __str__(self) -> str:
        from rich import box
        from rich.table import Table

        total = sum(x.milliseconds or 0 for x in self.layers)
        each = f", {self.nbytes / self.nonzeros:.1f} bytes a weight that is left" if self.nonzeros else ""
        head = f"{total:.2f} ms in kernels on one thread, {self.vectors or 'torch'}{each}; differs from eager by {self.error:.0e}"
        table = Table(title=head, box=box.SIMPLE_HEAD)
        for name in ("layer", "kernel", "layout"):
            table.add_column(name)
        for name in ("sparsity", "ms"):
            table.add_column(name, justify="right")
        table.add_column("why", style="dim")
        for x in self.layers:
            sparsity = "" if x.sparsity is None else f"{x.sparsity:.1%}"
            ms = "" if x.milliseconds is None else f"{x.milliseconds:.3f}"
            table.add_row(x.name, x.kernel, x.layout, sparsity, ms, x.why)
        return as_text(table, width=150)
