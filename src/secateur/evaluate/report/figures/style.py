"""Colours, markers and type of all figures.

A figure is drawn in the light colours. Every colour has a name of its own, so the inline SVG of the page can replace
it by a CSS variable and follow the reader's theme. Methods differ by marker as well as by colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ....core.errors import require
from ..data import Point

INK, MUTED, LINE, CONTROL, HEAT, ON_HEAT, WARN = (
    "#1b211e", "#66706b", "#dfe4e0", "#868f8a", "#0b5a34", "#fefefe", "#c4320a",
)  # fmt: skip
METHODS = ("#0b6cbc", "#cf540a", "#0a8f6c", "#a8448e", "#b08500", "#5a52c8", "#1f93b8", "#7b5231")
DARK_METHODS = ("#5aaef5", "#ff935a", "#35cfa2", "#e68fd0", "#efc445", "#a8a1ff", "#6fd6f5", "#cfa27c")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
CONTROL_MARKERS = ("x", "+", "1", "2")
DASHES = ("-", (0, (6, 1.6)), (0, (4, 1.2, 1, 1.2)))  # the colours come round, the dashes then do not
PUBLISHED = ("*", "h", "<", ">", "d", "8")

# What each colour becomes in the page; the page's style sheet gives the values for both themes.
VARIABLES = {
    INK: "--ink", MUTED: "--muted", LINE: "--line", CONTROL: "--control", HEAT: "--heat", ON_HEAT: "--on-heat",
    WARN: "--warn", **{colour: f"--m{i}" for i, colour in enumerate(METHODS)},
}  # fmt: skip


SETTINGS = {
    "font.family": "DejaVu Sans", "font.size": 11,
    "text.color": INK, "text.parse_math": False,  # a "$" in a name is a dollar
    "axes.edgecolor": LINE, "axes.labelcolor": MUTED, "axes.facecolor": "none", "axes.axisbelow": True,
    "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False,
    "xtick.color": MUTED, "ytick.color": MUTED, "xtick.major.size": 0, "ytick.major.size": 0,
    "xtick.major.pad": 6, "ytick.major.pad": 6, "grid.color": LINE, "grid.linewidth": 0.8,
    "svg.fonttype": "none", "svg.hashsalt": "secateur", "savefig.facecolor": "none", "figure.facecolor": "none",
}  # fmt: skip


class Look(NamedTuple):
    """How one method is drawn everywhere."""

    colour: str
    marker: str
    dash: Any


def looks(points: Iterable[Point]) -> dict[str, Look]:
    """A look per method, in order of appearance, so that a method has the same colour in every figure."""
    seen = dict.fromkeys((p.method, p.control) for p in points)
    out: dict[str, Look] = {}
    for i, name in enumerate(m for m, control in seen if control):
        out[name] = Look(CONTROL, CONTROL_MARKERS[i % len(CONTROL_MARKERS)], "--")
    for i, name in enumerate(m for m, control in seen if not control):
        out[name] = Look(METHODS[i % len(METHODS)], MARKERS[(i + i // len(METHODS)) % len(MARKERS)],
                         DASHES[i // len(METHODS) % len(DASHES)])  # fmt: skip
    return out


@contextmanager
def context() -> Iterator[None]:
    """The matplotlib settings a figure is built and saved under; the caller's own come back afterwards."""
    mpl: Any = require("matplotlib", "report")
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        yield


def blank(width: float, height: float) -> Any:
    """An empty figure (inches) without pyplot's global state."""
    return require("matplotlib.figure", "report").Figure(figsize=(width, height))


def fixed_labels(ax: Any) -> None:
    """Keep matplotlib from measuring every tick, at every drawing, for the place of axis labels that are not used."""
    ax.xaxis.set_label_coords(0, 0)
    ax.yaxis.set_label_coords(0, 0)
