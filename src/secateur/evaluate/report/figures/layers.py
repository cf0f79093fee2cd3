"""How much of every layer is gone: a panel per method, a row per layer, a column per compression."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..aggregate import DENSE
from ..data import Point
from ..words import title
from .curves import wrap
from .style import HEAT, INK, MUTED, ON_HEAT, WARN, blank

__all__ = ["Kept", "draw", "kept"]

Kept = Mapping[str, Mapping[float, Mapping[str, float]]]
"""method → target compression → layer → fraction of its entries that is left, over all seeds."""

MAX_TEXT_ROWS = 14
MAX_VECTOR_CELLS = 1200


def kept(points: Iterable[Point]) -> Kept:
    """The fraction left of every layer, its seeds taken together; a tensor that no method prunes is left out.

    Args:
        points: of one (task, model).
    """
    counts: dict[str, dict[float, dict[str, list[int]]]] = {}
    for p in points:
        if p.method == DENSE or p.error is not None or not p.layers:
            continue
        layers = counts.setdefault(p.method, {}).setdefault(p.target_compression, {})
        for layer in p.layers:
            cell = layers.setdefault(layer.name, [0, 0])
            cell[0] += layer.nonzero
            cell[1] += layer.total
    cells = [(n, left, total) for by in counts.values() for ls in by.values() for n, (left, total) in ls.items()]
    touched = {n for n, left, total in cells if left < total} or {n for n, *_ in cells}
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
    bands = math.ceil(len(table) / max(1, 32 // columns))
    per_row = math.ceil(len(table) / bands)
    cell = 0.34 if len(names) <= MAX_TEXT_ROWS else max(0.09, 4.2 / len(names))
    left = min(0.3 + 0.082 * max(map(len, names)), 2.6)
    panel = min((10.6 - left) / per_row, 0.46 * columns + 0.4)
    tall = cell * len(names) + 0.8
    width, height = left + per_row * panel, bands * tall
    figure = blank(width, height)
    for i, (method, by) in enumerate(table.items()):
        band, column = divmod(i, per_row)
        bottom = height - (band + 1) * tall + 0.34
        box = ((left + column * panel) / width, bottom / height, (panel - 0.18) / width, cell * len(names) / height)
        _panel(figure.add_axes(box), method, by, names, first=column == 0)
    return figure


def _panel(ax: Any, method: str, by: Mapping[float, Mapping[str, float]], names: Sequence[str], *, first: bool) -> None:
    targets = list(by)
    halvings = max((math.log2(1 / v) for layers in by.values() for v in layers.values() if v > 0), default=1.0) or 1.0
    raster = len(targets) * len(names) > MAX_VECTOR_CELLS
    for c, target in enumerate(targets):
        for r, name in enumerate(names):
            if name in by[target]:
                _cell(ax, c, r, by[target][name], halvings, text=len(names) <= MAX_TEXT_ROWS, raster=raster)
    ax.set_xlim(0, len(targets))
    ax.set_ylim(len(names), 0)
    ax.spines["bottom"].set_visible(False)
    ax.set_xticks([c + 0.5 for c in range(len(targets))], [f"{t:.3g}×" for t in targets], fontsize=9)
    step = math.ceil(len(names) / 30)
    shown = range(0, len(names), step)
    ax.set_yticks([r + 0.5 for r in shown], [short(names[r]) if first else "" for r in shown], fontsize=9)
    ax.set_title(wrap(title(method), max(12, int(3.6 * len(targets)))), loc="left", fontsize=10.5, color=INK, pad=7)


def _cell(ax: Any, c: int, r: int, left: float, halvings: float, *, text: bool, raster: bool) -> None:
    depth = min(math.log2(1 / left) / halvings, 1.0) if left > 0 else 1.0
    gap = 0.03 if text else 0.0
    colour = HEAT if left > 0 else WARN
    ax.fill((c + gap, c + 1 - gap, c + 1 - gap, c + gap), (r + gap, r + gap, r + 1 - gap, r + 1 - gap), color=colour,
            alpha=0.06 + 0.9 * depth, lw=0, rasterized=raster, clip_on=False)  # fmt: skip
    if text:
        ink = ON_HEAT if depth > 0.68 else INK if left < 1 else MUTED
        ax.text(c + 0.5, r + 0.53, sparsity(left), ha="center", va="center", fontsize=8, color=ink)


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
