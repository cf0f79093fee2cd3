"""What pruning costs against what it brings: one line a method, mean ± spread over seeds, the Pareto front ringed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ....core.errors import require
from ..aggregate import DENSE, Stat, Summary, said
from ..data import Published
from ..pareto import front
from ..words import title
from .axes import View, X, Y, decimal_ticks, log_ticks
from .style import CONTROL, INK, LINE, MUTED, PUBLISHED, Look, blank, fixed_labels

__all__ = ["Curve", "curves", "draw", "spread", "window", "wrap"]

DEEPEST = 24.0  # points below the best; further down the label says the number and the rest stays readable
HIGHEST = 2.0  # times the best perplexity, likewise
LEAST = 2.0  # times, that an axis of times, bytes or joules reaches over at least
BANDS = 6  # lines; more bands than that are mud, and bars say the same


class Curve(NamedTuple):
    """One method's points in the units of the figure, from the least pruned to the most."""

    method: str
    control: bool
    x: list[float]
    y: list[float]
    spread: list[float]


def curves(summaries: Sequence[Summary], view: View) -> list[Curve]:
    """The lines of a figure; groups without the two numbers are left out."""
    rows: dict[tuple[str, bool], list[tuple[float, float, float, float]]] = {}
    factor = Y[view.y].factor
    for s in summaries:
        x: Stat | None = getattr(s, view.x)
        y: Stat | None = getattr(s, view.y)
        if s.method != DENSE and x is not None and y is not None and x.mean > 0:
            rows.setdefault((s.method, s.control), []).append((s.target, x.mean, factor * y.mean, factor * (y.std or 0.0)))
    return [Curve(m, c, *map(list, list(zip(*sorted(r), strict=True))[1:])) for (m, c), r in rows.items()]


def overlays(published: Sequence[Published], view: View) -> list[Curve]:
    """The lines of published results, those that have both numbers."""
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for p in published:
        x, y = getattr(p, view.x, None), getattr(p, view.y)
        if x is not None and y is not None:
            rows.setdefault(p.label, []).append((x, Y[view.y].factor * y, 0.0))
    return [Curve(m, True, *map(list, zip(*sorted(r), strict=True))) for m, r in rows.items()]


def draw(
    summaries: Sequence[Summary],
    dense: Stat | None,
    view: View,
    look: Mapping[str, Look],
    published: Sequence[Published] = (),
) -> Any:
    """The figure of one (task, model).

    Args:
        summaries: its groups.
        dense: the dense network's y.
        view: what runs along the axes.
        look: how each method is drawn.
        published: results to lay over.
    """
    lines, others = curves(summaries, view), overlays(published, view)
    styles = {**look, **{c.method: Look(MUTED, PUBLISHED[i % len(PUBLISHED)], ":") for i, c in enumerate(others)}}
    height = 4.5 + 0.21 * max(0, len(lines) + len(others) - 12)
    figure = blank(6.4, height)
    ax = figure.add_axes((0.085, 0.6075 / height, 0.61, 1 - 1.0125 / height))
    low, high = window(lines + others, dense, view)
    how = said(s.inference_energy for s in summaries) or "nobody says how counted"
    _axes(ax, view, lines + others, low, high, X[view.x].label.replace("HOW", how))
    if not lines:
        ax.text(0.5, 0.5, "no run has both numbers", transform=ax.transAxes, color=MUTED, ha="center")
    if dense is not None:
        mean, std = (Y[view.y].factor * v for v in (dense.mean, dense.std or 0.0))
        ax.axhspan(mean - std, mean + std, color=INK, alpha=0.08, lw=0)
        ax.axhline(mean, color=INK, lw=1.2)
    _rings(ax, lines, view)
    part = {c.method: f"part-{i}-" for i, c in enumerate(lines + others)}  # what belongs together, for the page's script
    for c in others:
        ax.plot(c.x, c.y, color=MUTED, ls=":", marker=styles[c.method].marker, lw=1, ms=7, mew=1, mfc="none", gid=part[c.method])
    for c in sorted(lines, key=lambda c: not c.control):
        _line(ax, c, look[c.method], part[c.method], band=len(lines) <= BANDS)
    _labels(ax, lines + others, dense, view, styles, part)
    return figure


def window(lines: Sequence[Curve], dense: Stat | None, view: View) -> tuple[float, float]:
    """The range of y: what the methods do, down to 24 points under the best. Controls do not widen it.

    Returns:
        lowest and highest value shown.
    """
    judged = [c for c in lines if not c.control] or lines
    factor, up = Y[view.y].factor, Y[view.y].up
    highs = [y + s for c in (lines if up else judged) for y, s in zip(c.y, c.spread, strict=True)]
    lows = [y - s for c in (judged if up else lines) for y, s in zip(c.y, c.spread, strict=True)]
    if dense is not None:
        highs.append(factor * (dense.mean + (dense.std or 0.0)))
        lows.append(factor * (dense.mean - (dense.std or 0.0)))
    high, low = max(highs, default=100.0), min(lows, default=0.0)
    if up:
        low = max(low, high - DEEPEST)
        height = max(high - low, 1.0)
        top = 100.0 + 0.03 * height if view.y != "top1_change" else high + height
        return max(low - 0.2 * height, -2.0 if view.y != "top1_change" else low - height), min(high + 0.08 * height, top)
    high = min(high, HIGHEST * max(low, 1.0))
    height = max(high - low, 0.02 * high)
    return low - 0.08 * height, high + 0.2 * height


def _axes(ax: Any, view: View, lines: Sequence[Curve], low: float, high: float, label: str) -> None:
    across, ratio = X[view.x], view.x in ("compression", "speedup")
    xs = [x for c in lines for x in c.x] or [2.0, 32.0]
    left, right = min(xs), max(xs)
    if not ratio and right / left < LEAST:  # nothing differs by much, and noise is not to look like a result
        left, right = (left * right / LEAST) ** 0.5, (left * right * LEAST) ** 0.5
    pad = max((right / left) ** 0.05, 1.03)
    ax.set_xscale("log", base=2 if ratio else 10)
    ax.set_xlim(*((left / pad, right * pad) if across.up else (right * pad, left / pad)))
    ax.set_ylim(low, high)
    ticks = (log_ticks if ratio else decimal_ticks)(left / pad, right * pad)
    ax.set_xticks(ticks, [across.tick(t) for t in ticks])
    ax.minorticks_off()
    ax.grid(axis="y")
    ax.yaxis.get_major_locator().set_params(nbins=6)
    fixed_labels(ax)
    down = 0.43 / (ax.figure.get_figheight() - 1.0125)  # inches under the axis, as a share of its height
    ax.text(0, -down, label, transform=ax.transAxes, color=MUTED, fontsize=10, ha="left", va="top")
    ax.text(0, 1.03, Y[view.y].label, transform=ax.transAxes, color=MUTED, fontsize=10, ha="left", va="bottom")


def _rings(ax: Any, lines: Sequence[Curve], view: View) -> None:
    """A ring around every point that no other beats on both axes."""
    points = [(x, y) for c in lines for x, y in zip(c.x, c.y, strict=True)]
    best = [points[i] for i in sorted(front(points, x_up=X[view.x].up, y_up=Y[view.y].up))]
    if best:
        ax.plot(*map(list, zip(*best, strict=True)), ls="", marker="o", ms=12, mfc="none", mec=INK, mew=1, alpha=0.45, zorder=1.9)


def _line(ax: Any, c: Curve, look: Look, part: str, *, band: bool) -> None:
    low = [y - s for y, s in zip(c.y, c.spread, strict=True)]
    high = [y + s for y, s in zip(c.y, c.spread, strict=True)]
    if band:
        ax.fill_between(c.x, low, high, color=look.colour, alpha=0.1 if c.control else 0.16, lw=0, gid=f"{part}band")
    elif any(c.spread):
        bars = [((x, a), (x, b)) for x, a, b in zip(c.x, low, high, strict=True)]
        collections: Any = require("matplotlib.collections", "report")
        ax.add_collection(collections.LineCollection(bars, colors=look.colour, lw=1, alpha=0.6, gid=f"{part}bar"), autolim=False)
    width = 1.4 if c.control else 2
    ax.plot(c.x, c.y, color=look.colour, ls=look.dash, marker=look.marker, lw=width, ms=5.5, mew=1.4, gid=f"{part}line")


def _labels(
    ax: Any, lines: Sequence[Curve], dense: Stat | None, view: View, look: Mapping[str, Look], part: Mapping[str, str]
) -> None:
    """Names at the right, each level with the end of its line or as near as the others let it."""
    low, high = ax.get_ylim()
    digits = 0 if Y[view.y].factor == 100 else 1
    ends = [(c.y[-1], c.x[-1], title(c.method), look[c.method], part[c.method]) for c in lines]
    if dense is not None:
        mean = Y[view.y].factor * dense.mean
        name = "dense" if view.y == "top1_change" else f"dense {mean:.{digits + 1}f}"
        ends.append((mean, ax.get_xlim()[1], name, Look(INK, "", "-"), f"part-{len(lines)}-"))
    ends.sort(key=lambda e: e[0])
    off = [("↓" if y < low else "↑") if not low <= y <= high else "" for y, *_ in ends]
    names = [wrap(f"{e[2]} {o} {e[0]:.{digits}f}".replace(" -", " −") if o else e[2]) for e, o in zip(ends, off, strict=True)]
    unit = 4.5 / ax.figure.get_figheight()
    heights = [unit * (0.055 + 0.045 * n.count("\n")) for n in names]
    places = spread([(y - low) / (high - low) for y, *_ in ends], heights, 0.0, 1.0)
    place_of = ax.transData + ax.transAxes.inverted()
    for (y, x, _, style, id), name, place in zip(ends, names, places, strict=True):
        end = place_of.transform((x, min(max(y, low), high)))
        free = {"transform": ax.transAxes, "clip_on": False}
        ax.plot((end[0] + 0.012, 1.025), (end[1], place), color=LINE, lw=0.9, zorder=0, gid=f"{id}leader", **free)
        face = "none" if style.dash == ":" else style.colour
        ax.plot((1.045,), (place,), color=style.colour, marker=style.marker or "_", ms=6 if style.marker else 9, mew=1.4,
                mfc=face, gid=f"{id}mark", **free)  # fmt: skip
        colour = MUTED if style.colour in (CONTROL, MUTED) else INK
        ax.text(1.075, place, name, color=colour, fontsize=10, va="center", linespacing=1.0, gid=f"{id}name", **free)


def wrap(name: str, width: int = 19) -> str:
    """A long name on two lines, cut where that still does not do."""
    if len(name) <= width:
        return name
    cuts = [i for i, ch in enumerate(name) if ch == " "]
    cut = min(cuts, key=lambda i: abs(i - len(name) / 2), default=None)
    parts = [name] if cut is None else [name[:cut], name[cut + 1 :]]
    return "\n".join(p if len(p) <= width else p[: width - 1] + "…" for p in parts)


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as non-overlapping labels can have, in the same order.

    Args:
        wanted: ascending places.
        heights: height of each label.
        low: lower end of the room.
        high: upper end; more labels than fit are squeezed evenly.
    """
    room, need = high - low, sum(heights)
    scale = min(1.0, room / need) if need else 1.0
    half = [h * scale / 2 for h in heights]
    out: list[float] = []
    floor = low
    for w, h in zip(wanted, half, strict=True):
        out.append(max(w, floor + h))
        floor = out[-1] + h
    ceiling = high
    for i in reversed(range(len(out))):
        out[i] = min(out[i], ceiling - half[i])
        ceiling = out[i] - half[i]
    return out
