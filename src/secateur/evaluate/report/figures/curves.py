"""Top-1 against compression or theoretical speed-up: one line a method, mean ± spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..aggregate import DENSE, Stat, Summary
from ..words import percent, title
from .style import CONTROL, INK, LINE, MUTED, Look, blank

Axis = Literal["compression", "speedup"]
NAMES = {
    "compression": "Compression: parameters ÷ non-zero parameters (log scale)",
    "speedup": "Theoretical speed-up: multiply-adds ÷ those left (log scale)",
}


DEEPEST = 24.0  # points below the best; further down the label says the number and the rest stays readable


class Curve(NamedTuple):
    """One method's points, in percent, sorted by x."""

    method: str
    control: bool
    x: list[float]
    y: list[float]
    spread: list[float]


def curves(summaries: Sequence[Summary], axis: Axis) -> list[Curve]:
    """The lines of a figure; groups without the two numbers are left out."""
    rows: dict[tuple[str, bool], list[tuple[float, float, float]]] = {}
    for s in summaries:
        x: Stat | None = getattr(s, axis)
        if s.method != DENSE and x is not None and s.top1 is not None and x.mean > 0:
            rows.setdefault((s.method, s.control), []).append((x.mean, 100 * s.top1.mean, 100 * (s.top1.std or 0.0)))
    return [Curve(m, c, *map(list, zip(*sorted(r), strict=True))) for (m, c), r in rows.items()]


def draw(summaries: Sequence[Summary], dense: Stat | None, axis: Axis, look: Mapping[str, Look]) -> Any:
    """The figure of one (task, model).

    Args:
        summaries: its groups.
        dense: the dense network's top-1.
        axis: what runs along x.
        look: how each method is drawn.
    """
    lines = curves(summaries, axis)
    figure = blank(6.4, 4.5)
    ax = figure.add_axes((0.085, 0.135, 0.61, 0.775))
    low, high = window(lines, dense)
    _axes(ax, axis, lines, low, high)
    if not lines:
        ax.text(0.5, 0.5, "no run has both numbers", transform=ax.transAxes, color=MUTED, ha="center")
    if dense is not None:
        mean, std = 100 * dense.mean, 100 * (dense.std or 0.0)
        ax.axhspan(mean - std, mean + std, color=INK, alpha=0.08, lw=0)
        ax.axhline(mean, color=INK, lw=1.2)
    for c in sorted(lines, key=lambda c: not c.control):
        _line(ax, c, look[c.method])
    _labels(ax, lines, dense, look)
    return figure


def window(lines: Sequence[Curve], dense: Stat | None) -> tuple[float, float]:
    """The range of y: what the methods do, down to 24 points under the best. Controls do not widen it.

    Returns:
        lowest and highest percentage shown.
    """
    tops = [y + s for c in lines for y, s in zip(c.y, c.spread, strict=True)]
    judged = [c for c in lines if not c.control] or lines
    lows = [y - s for c in judged for y, s in zip(c.y, c.spread, strict=True)]
    if dense is not None:
        tops.append(100 * (dense.mean + (dense.std or 0.0)))
        lows.append(100 * (dense.mean - (dense.std or 0.0)))
    top, low = max(tops, default=100.0), min(lows, default=0.0)
    low = max(low, top - DEEPEST)
    height = max(top - low, 1.0)
    return max(low - 0.2 * height, -2.0), min(top + 0.08 * height, 100.0 + 0.03 * height)


def _axes(ax: Any, axis: Axis, lines: Sequence[Curve], low: float, high: float) -> None:
    xs = [x for c in lines for x in c.x] or [2.0, 32.0]
    left, right = min(xs), max(xs)
    pad = max((right / left) ** 0.05, 1.03)
    ax.set_xscale("log", base=2)
    ax.set_xlim(left / pad, right * pad)
    ax.set_ylim(low, high)
    ticks = log_ticks(left / pad, right * pad)
    ax.set_xticks(ticks, [f"{t:g}×" for t in ticks])
    ax.minorticks_off()
    ax.grid(axis="y")
    ax.yaxis.get_major_locator().set_params(nbins=6)
    ax.set_xlabel(NAMES[axis], labelpad=9, fontsize=10, loc="left")
    ax.text(0, 1.03, "Top-1 accuracy, %", transform=ax.transAxes, color=MUTED, fontsize=10, ha="left", va="bottom")


def log_ticks(low: float, high: float) -> list[float]:
    """Round ticks for a log axis: powers of two, or finer steps where those are fewer than three.

    Example:
        >>> log_ticks(1.9, 33), log_ticks(1.1, 3.5)
        ([2.0, 4.0, 8.0, 16.0, 32.0], [1.5, 2.0, 3.0])
    """
    powers = [2.0**k for k in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    if len(powers) >= 3:
        return powers[:: math.ceil(len(powers) / 8)]
    halves = [p * f for p in [2.0**k for k in range(-4, 12)] for f in (1.0, 1.5) if low <= p * f <= high]
    if len(halves) >= 2:
        return halves
    rounded = {float(f"{low * (high / low) ** t:.3g}") for t in (0.1, 0.5, 0.9)}
    return sorted(t for t in rounded if low <= t <= high)


def _line(ax: Any, c: Curve, look: Look) -> None:
    low = [y - s for y, s in zip(c.y, c.spread, strict=True)]
    high = [y + s for y, s in zip(c.y, c.spread, strict=True)]
    ax.fill_between(c.x, low, high, color=look.colour, alpha=0.1 if c.control else 0.16, lw=0)
    ax.plot(c.x, c.y, color=look.colour, ls=look.dash, marker=look.marker, lw=1.4 if c.control else 2, ms=5.5, mew=1.4)


def _labels(ax: Any, lines: Sequence[Curve], dense: Stat | None, look: Mapping[str, Look]) -> None:
    """Names at the right, each level with the end of its line or as near as the others let it."""
    low, high = ax.get_ylim()
    ends = [(c.y[-1], c.x[-1], title(c.method), look[c.method]) for c in lines]
    if dense is not None:
        ends.append((100 * dense.mean, ax.get_xlim()[1], f"dense {percent(dense.mean, 1)}", Look(INK, "", "-")))
    ends.sort(key=lambda e: e[0])
    names = [wrap(f"{name} ↓ {y:.0f}" if y < low else name) for y, _, name, _ in ends]
    heights = [0.055 + 0.045 * n.count("\n") for n in names]
    places = spread([(y - low) / (high - low) for y, *_ in ends], heights, 0.0, 1.0)
    for (y, x, _, style), name, place in zip(ends, names, places, strict=True):
        end = ax.transAxes.inverted().transform(ax.transData.transform((x, max(y, low))))
        ax.plot(
            (end[0] + 0.012, 1.025),
            (end[1], place),
            color=LINE,
            lw=0.9,
            transform=ax.transAxes,
            clip_on=False,
            zorder=0,
        )
        ms = 6 if style.marker else 9
        ax.plot((1.045,), (place,), color=style.colour, marker=style.marker or "_", ms=ms, mew=1.4, transform=ax.transAxes,
                clip_on=False)  # fmt: skip
        colour = MUTED if style.colour == CONTROL else INK
        ax.text(1.075, place, name, transform=ax.transAxes, color=colour, fontsize=10, va="center", linespacing=1.0)


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
