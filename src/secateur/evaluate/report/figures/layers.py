"""How much of every layer is gone: a panel per method, a row per layer, a column per compression."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ....core.errors import require
from ..aggregate import DENSE
from ..data import Point
from ..words import title
from .curves import wrap
from .style import HEAT, INK, MUTED, ON_HEAT, WARN, blank

__all__ = ["Kept", "draw", "kept"]

Kept = Mapping[str, Mapping[float, Mapping[str, float]]]
"""method → target compression → layer → fraction of its entries that is left, over all seeds."""

MAX_TEXT_ROWS = 14
MAX_TEXT_CELLS = 500  # of a figure; more numbers than that are read in the table


def kept(points: Iterable[Point]) -> Kept:
    """The fraction left of every layer, its seeds taken together; a tensor of which no method removes 5 % is left out.

    Args:
        points: of one (task, model).
    """
    counts: dict[str, dict[float, dict[str, list[int]]]] = {}
    for p in sorted(points, key=lambda p: p.control):
        if p.method == DENSE or p.error is not None or not p.layers:
            continue
        layers = counts.setdefault(p.method, {}).setdefault(p.target_compression, {})
        for layer in p.layers:
            cell = layers.setdefault(layer.name, [0, 0])
            cell[0] += layer.nonzero
            cell[1] += layer.total
    cells = [(n, left, total) for by in counts.values() for ls in by.values() for n, (left, total) in ls.items()]
    touched = {n for n, left, total in cells if left <= 0.95 * total} or {n for n, *_ in cells}
    return {
        m: {t: {n: left / max(total, 1) for n, (left, total) in ls.items() if n in touched} for t, ls in sorted(by.items())}
        for m, by in counts.items()
    }


def names_of(table: Kept) -> list[str]:
    """The layers of a table, in the network's order."""
    return list(dict.fromkeys(n for by in table.values() for layers in by.values() for n in layers))


def draw(table: Kept) -> Any:
    """The figure of one (task, model). A stronger colour is more lost, in steps of one halving; ✕ marks a layer that is gone."""
    names = names_of(table)
    columns = max(len(by) for by in table.values())
    text = len(names) <= MAX_TEXT_ROWS and len(names) * sum(map(len, table.values())) <= MAX_TEXT_CELLS
    bands = math.ceil(len(table) / max(1, 32 // columns))
    per_row = math.ceil(len(table) / bands)
    cell = 0.34 if text else max(0.09, min(0.24, 4.2 / len(names)))
    left = min(0.3 + 0.082 * max(map(len, names)), 2.6)
    panel = min((10.6 - left) / per_row, 0.46 * columns + 0.4)
    tall = cell * len(names) + 0.8
    width, height = left + per_row * panel, bands * tall
    figure = blank(width, height)
    ax = figure.add_axes((0, 0, 1, 1))  # one for all panels, in inches from the top left: axes are what costs time
    ax.set_axis_off()
    cells = [v for by in table.values() for layers in by.values() for v in layers.values() if v > 0]
    halvings = max(map(math.log2, (1 / v for v in cells)), default=1.0) or 1.0  # one scale, for methods are to be compared
    for i, (method, by) in enumerate(table.items()):
        band, column = divmod(i, per_row)
        box = _Box(left + column * panel, band * tall + 0.46, (panel - 0.18) / len(by), cell)
        _panel(ax, box, method, by, names, halvings, text=text)
        if column == 0:
            for r in range(0, len(names), math.ceil(len(names) / 30)):
                at = box.y + (r + 0.5) * cell
                ax.text(left - 0.09, at, short(names[r]), fontsize=9, color=MUTED, ha="right", va="center")
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    return figure


class _Box(NamedTuple):
    """A panel's upper left corner and the size of its cells, in inches."""

    x: float
    y: float
    w: float
    h: float


def _panel(
    ax: Any, box: _Box, method: str, by: Mapping[float, Mapping[str, float]], names: Sequence[str], halvings: float, *, text: bool
) -> None:
    if not text:
        _raster(ax, box, [[layers.get(name) for layers in by.values()] for name in names], halvings)
    for c, (target, layers) in enumerate(by.items()):
        middle = box.x + (c + 0.5) * box.w
        ax.text(
            middle,
            box.y + box.h * len(names) + 0.09,
            f"{target:.3g}×",
            fontsize=9 if box.w > 0.36 else 7.5,
            color=MUTED,
            ha="center",
            va="top",
        )
        for r, name in enumerate(names if text else ()):
            if name in layers:
                _cell(ax, box, c, r, layers[name], halvings)
    named = wrap(title(method), max(12, int(3.6 * len(by))))
    ax.text(
        box.x, box.y - 0.1, named, fontsize=10.5, color=INK, va="baseline" if "\n" not in named else "bottom", linespacing=1.0
    )


def _depth(left: float, halvings: float) -> float:
    """How strong the colour is, in [0, 1]: equal steps for every halving of what is left."""
    return min(math.log2(1 / left) / halvings, 1.0) if left > 0 else 1.0


def _raster(ax: Any, box: _Box, rows: list[list[float | None]], halvings: float) -> None:
    """All cells as one picture; opacity carries the number, so that it stands on a light page and on a dark one."""
    np: Any = require("numpy", "report")
    image = np.zeros((len(rows), len(rows[0]), 4), dtype=np.uint8)
    for r, row in enumerate(rows):
        for c, left in enumerate(row):
            if left is not None:
                colour = HEAT if left > 0 else WARN
                alpha = round(255 * (0.06 + 0.9 * _depth(left, halvings)))
                image[r, c] = [*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), alpha]
    extent = (box.x, box.x + box.w * len(rows[0]), box.y + box.h * len(rows), box.y)
    ax.imshow(image, interpolation="none", aspect="auto", extent=extent)


def _cell(ax: Any, box: _Box, c: int, r: int, left: float, halvings: float) -> None:
    depth, gap = _depth(left, halvings), 0.01
    x, y = (box.x + c * box.w, box.x + (c + 1) * box.w), (box.y + r * box.h, box.y + (r + 1) * box.h)
    ax.fill((x[0] + gap, x[1] - gap, x[1] - gap, x[0] + gap), (y[0] + gap, y[0] + gap, y[1] - gap, y[1] - gap),
            color=HEAT if left > 0 else WARN, alpha=0.06 + 0.9 * depth, lw=0)  # fmt: skip
    ink = ON_HEAT if depth > 0.68 else INK if left < 1 else MUTED
    ax.text(sum(x) / 2, y[0] + 0.53 * box.h, sparsity(left), ha="center", va="center", fontsize=8, color=ink)


def sparsity(left: float) -> str:
    """What is removed, in whole percent; one digit more where a whole percent would say "all" and it is not.

    Example:
        >>> sparsity(0.5), sparsity(0.002), sparsity(0.0)
        ('50', '99.8', '✕')
    """
    if left <= 0:
        return "✕"
    removed = 100 * (1 - left)
    return f"{removed:.0f}" if removed < 99.45 else f"{min(removed, 99.9):.1f}"


def short(name: str, width: int = 28) -> str:
    """A long parameter name by its end, which tells more."""
    return name if len(name) <= width else "…" + name[1 - width :]
