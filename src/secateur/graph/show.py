"""Groups as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from .groups import Group, Groups, Member

__all__ = ["blocks", "joins", "members", "table"]


def table(groups: Groups) -> Table:
    """One row a group: what is tied, by which operations, and whether it can go."""
    t = Table(
        title=f"{len(groups.prunable)} of {len(groups)} groups can be pruned", caption=_unknown(groups), box=box.SIMPLE_HEAD
    )
    for name in ("group", "units", "tied together", "by", "prunable"):
        t.add_column(name, justify="right" if name == "units" else "left", overflow="fold")
    for g in groups.prunable:
        t.add_row(g.name, str(g.units), members(g.members), joins(g), _verdict(g))
    t.add_section()
    held: dict[tuple[str, int], list[Group]] = {}
    for g in groups:
        if g.reason:
            held.setdefault((g.reason, g.units), []).append(g)
    for (reason, units), same in held.items():  # what stays for one reason is one row
        t.add_row(same[0].name, str(units), members([m for g in same for m in g.members]), joins(same[0]), f"no: {reason}")
    return t


def members(of: Sequence[Member], most: int = 6) -> str:
    """``layer.weight[0] x64`` for each place: its dimension, and how many indices a unit has there."""
    texts = [f"{m.parameter}[{m.dim}]{blocks(m)}" for m in of]
    more = [f"… and {len(texts) - most} more"] if len(texts) > most else []
    return "\n".join(texts[:most] + more)


def blocks(member: Member) -> str:
    """How the indices of a unit lie: nothing for one, ``x64`` side by side, ``x24 (3 runs of 8)`` in pieces."""
    if member.each == 1:
        return ""
    return (
        f" x{member.each}" if member.run == member.each else f" x{member.each} ({member.each // member.run} runs of {member.run})"
    )


def joins(group: Group, most: int = 3) -> str:
    """The first operations that tie the group."""
    texts = [f"{name} {where}".strip() for name, where in group.joined]
    more = [f"… and {len(texts) - most} more"] if len(texts) > most else []
    return "\n".join(texts[:most] + more)


def _verdict(group: Group) -> str:
    notes = ["yes", *(f"crosses {name}" for name in group.crosses[:2])]
    if group.statistics:
        notes.append(f"{group.statistics[0]} averages over it")
    return "\n".join(notes)


def _unknown(groups: Groups) -> str | None:
    names = ", ".join(dict.fromkeys(name for name, _ in groups.unknown))
    return f"held because there is no rule for: {names}" if names else None
