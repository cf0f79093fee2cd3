"""From labels to groups: atoms that act at the same places are units of one group."""

from __future__ import annotations

import dataclasses as dc
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .atoms import Cells
from .groups import Group, Groups, Member, Role
from .labelling import Join
from .propagate import Propagation
from .source import operation, place

__all__ = ["collect"]


def collect(p: Propagation, tied: Mapping[str, str]) -> Groups:
    """All groups of a propagated model."""
    spots = [
        (name, k, cells) for name, dims in p.parameters.items() for k, cells in enumerate(dims) if not isinstance(cells, int)
    ]
    table = _entries(p, [cells for *_, cells in spots])
    kinds = _kinds(p, table)
    groups, atoms = [], []
    joined, statistics, leaks = (_seen(p, joins, kinds) for joins in (p.joins, p.statistics, p.leaks))
    for rows, kind, units in _runs(table, kinds):
        members = tuple(sorted(_members(p, spots, table[rows], units), key=lambda m: _ORDER[m.role]))
        reason = _reason(p, int(table[rows[0], 0]), len(np.unique(units)))
        if reason is not None:
            name = _name(members)
            notes = (tuple(joined[kind]), _texts(statistics[kind]), _texts(leaks[kind]))
            groups.append(Group(name, int(units.max()) + 1, members, reason, *notes))
            atoms.append(table[rows[np.unique(units, return_index=True)[1]], 0])
    unknown = tuple((operation(n), place(n)) for n in p.unknown)
    named = _crossed(_numbered(groups))
    other = {a: b for a, b in tied.items() if a != b}
    return Groups(named, other, unknown, p.sizes, {g.name: a for g, a in zip(named, atoms, strict=True)})


def _entries(p: Propagation, labels: list[Cells]) -> Cells:
    """``[n, 3]``: atom, spot, index; every atom of every index of every parameter dimension."""
    parts = [np.zeros((0, 3), np.int64)]
    for spot, cells in enumerate(labels):
        rows = p.atoms.resolve(cells, pinned=True)
        index, column = np.nonzero(rows)
        parts.append(np.stack([rows[index, column], np.full_like(index, spot), index], axis=1))
    return np.concatenate(parts)


def _kinds(p: Propagation, table: Cells) -> Cells:
    """A number for each atom, equal for atoms that act at the same places and that the same norms average over."""
    random = np.random.default_rng(0)
    kinds = np.zeros(len(p.atoms), np.int64)

    def mark(atoms: Cells) -> None:
        kinds[np.unique(atoms)] += random.integers(-(2**60), 2**60)

    for spot in np.unique(table[:, 1]):
        mark(table[table[:, 1] == spot, 0])
    done: set[int] = set()
    for dims in p.dims.values():
        for labels in _flat(dims):
            if id(labels) not in done:
                done.add(id(labels))
                rows = p.atoms.resolve(labels, pinned=True)
                mark(rows[rows > 0])
    for join in p.statistics:  # whole groups of a group norm go where parts of all groups go, and only these are averaged
        rows = p.atoms.resolve(join.cells, pinned=True)
        mark(rows[rows > 0])
    pins = p.atoms.reasons(np.arange(len(p.atoms)))
    return np.asarray(kinds * 4096 + pins % 4096)


def _flat(dims: Any) -> Iterable[Cells]:
    """The label arrays of a value, or of several."""
    if isinstance(dims, np.ndarray):
        yield dims
    elif isinstance(dims, list):
        for d in dims:
            yield from _flat(d)


def _runs(table: Cells, kinds: Cells) -> Iterable[tuple[Cells, int, Cells]]:
    """For each group: its rows of the table by spot and unit, its kind, and the unit of each row."""
    if not len(table):
        return
    kind = kinds[table[:, 0]]
    order = np.argsort(kind, kind="stable")
    edges = np.flatnonzero(np.diff(kind[order])) + 1
    for rows in sorted(np.split(order, edges), key=lambda r: int(r.min())):
        rows = np.sort(rows)
        atoms, first, inverse = np.unique(table[rows, 0], return_index=True, return_inverse=True)
        rank = np.empty(len(atoms), np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(atoms))  # units are counted in the order they are met
        units = rank[inverse]
        sort = np.lexsort((table[rows, 2], units, table[rows, 1]))
        yield rows[sort], int(kind[rows[0]]), units[sort]


def _members(p: Propagation, spots: list[tuple[str, int, Cells]], rows: Cells, units: Cells) -> Iterable[Member]:
    count = int(units.max()) + 1
    for spot in np.unique(rows[:, 1]):
        here = rows[:, 1] == spot
        name, dim, cells = spots[spot]
        starts = np.concatenate([[0], np.cumsum(np.bincount(units[here], minlength=count))])
        yield Member(name, dim, _role(p, cells), starts, rows[here, 2])


_ORDER = {"producer": 0, "both": 0, "carrier": 1, "consumer": 2}


def _role(p: Propagation, cells: Cells) -> Role:
    out, into = id(cells) in p.produced, id(cells) in p.consumed
    return "both" if out and into else "producer" if out else "consumer" if into else "carrier"


def _reason(p: Propagation, atom: int, units: int) -> str | None:
    """Why a group stays, empty if it need not; ``None`` for one that nobody asks about."""
    why = p.reasons[int(p.atoms.reasons(np.array([atom]))[0])]
    if not why.text:
        return "a single unit; nothing would be left" if units == 1 else ""
    where = place(why.node) if why.node is not None and why.node.op == "call_function" else ""
    return None if why.hidden else f"{why.text} ({where})" if where else why.text


def _seen(p: Propagation, joins: list[Join], kinds: Cells) -> dict[int, dict[tuple[str, str], None]]:
    """Which operations met which kinds of atoms, in order and once."""
    found: dict[int, dict[tuple[str, str], None]] = defaultdict(dict)
    for join in joins:
        text = (operation(join.node), place(join.node))
        rows = p.atoms.resolve(join.cells, pinned=True)
        for kind in np.unique(kinds[rows[rows > 0]]):
            found[int(kind)].setdefault(text)
    return found


def _texts(seen: dict[tuple[str, str], None]) -> tuple[str, ...]:
    return tuple(f"{name} ({where})" if where else name for name, where in seen)


def _name(members: tuple[Member, ...]) -> str:
    first = next((m for m in members if m.role in ("producer", "both")), members[0])
    module, _, leaf = first.parameter.rpartition(".")
    return module or leaf


def _numbered(groups: list[Group]) -> list[Group]:
    """Names made different: the second group of a module is ``module#2``."""
    count: dict[str, int] = defaultdict(int)
    out = []
    for group in groups:
        count[group.name] += 1
        out.append(dc.replace(group, name=f"{group.name}#{count[group.name]}") if count[group.name] > 1 else group)
    return out


def _crossed(groups: list[Group]) -> tuple[Group, ...]:
    """Note which groups own the same index of the same dimension."""
    owners: dict[tuple[str, int], list[tuple[str, Cells]]] = defaultdict(list)
    for group in groups:
        for m in group.members:
            owners[m.parameter, m.dim].append((group.name, m.indices))
    crosses: dict[str, dict[str, None]] = defaultdict(dict)
    for here in owners.values():
        for k, (a, mine) in enumerate(here):
            for b, other in here[k + 1 :]:
                if np.intersect1d(mine, other).size:
                    crosses[a].setdefault(b)
                    crosses[b].setdefault(a)
    return tuple(dc.replace(g, crosses=tuple(crosses[g.name])) if crosses[g.name] else g for g in groups)
