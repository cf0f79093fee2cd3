"""What shrinking did, as a table."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .sizes import Slot

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["Shrunk"]


@dc.dataclass(frozen=True, eq=False)
class Shrunk:
    """What was cut out of a model; prints as a table.

    Args:
        cut: group name → number of units removed.
        kept: group name → why units that were asked for, or zero, stayed.
        error: largest relative difference between the masked and the smaller model, ‖a − b‖ / ‖b‖.
        sensitivity: relative change of the output for other inputs; what compares equal must not be constant.
        macs: multiply-adds of one example, before and after.
        params: parameters, before and after.
        changes: the integers of modules that were changed, with their new values.
        units: group name → number of units before.
        skipped: blocks that were the identity and are out of the model.
    """

    cut: Mapping[str, int]
    kept: Mapping[str, str]
    error: float
    sensitivity: float
    macs: tuple[int, int]
    params: tuple[int, int]
    changes: Mapping[Slot, int] = dc.field(default_factory=dict, repr=False)
    units: Mapping[str, int] = dc.field(default_factory=dict, repr=False)
    skipped: tuple[str, ...] = ()

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2), header_style="bold")
        table.add_column("group", overflow="fold")
        table.add_column("units", justify="right")
        table.add_column("left", justify="right")
        table.add_column("stayed because", overflow="fold")
        for name in self.skipped:
            table.add_row(name, "", "", "out of the model: it was the identity")
        for name in dict.fromkeys([*self.cut, *self.kept]):
            before, cut = self.units.get(name, 0), self.cut.get(name, 0)
            table.add_row(name, str(before), str(before - cut), self.kept.get(name, ""))
        return Group(Text(self._title(), style="bold"), *([table] if table.row_count else []))

    def _title(self) -> str:
        (m0, m1), (p0, p1) = self.macs, self.params
        if not self.cut and not self.skipped:
            return f"nothing was cut: {p0:,} parameters, {m0:,} multiply-adds"
        check = f"checked equal to {self.error:.0e}" if self.error == self.error else "not checked: the weights have no values"
        return (
            f"parameters {p0:,} → {p1:,} ({p0 / max(p1, 1):.2f}× fewer), multiply-adds {m0:,} → {m1:,} "
            f"({m0 / max(m1, 1):.2f}× fewer), {check}"
        )

    def __str__(self) -> str:
        from ..core.show import as_text

        return as_text(self, width=120)

    __repr__ = __str__
