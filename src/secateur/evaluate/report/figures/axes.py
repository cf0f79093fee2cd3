"""What may run along the axes of a figure: its name, its direction, its ticks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from ..words import joules, millis, size

__all__ = ["VIEWS", "View", "X", "Y", "decimal_ticks", "log_ticks"]


class Across(NamedTuple):
    """An x axis; all are logarithmic, and all run towards what is better."""

    label: str
    up: bool
    tick: Callable[[float], str]


class Upright(NamedTuple):
    """A y axis."""

    label: str
    short: str
    factor: float
    up: bool = True


def _ratio(value: float) -> str:
    return f"{value:g}×"


X = {
    "compression": Across("Compression: parameters ÷ non-zero parameters (log scale)", True, _ratio),
    "speedup": Across("Theoretical speed-up: multiply-adds ÷ those left (log scale)", True, _ratio),
    "latency_ms": Across("Median latency of one batch (log scale, faster to the right)", False, lambda v: _short(millis(v))),
    "file_bytes": Across("Size of the saved file (log scale, smaller to the right)", False, lambda v: _short(size(v))),
    "inference_joules": Across("Energy of one inference, HOW (log scale, less to the right)", False, lambda v: _short(joules(v))),
}
Y = {
    "top1": Upright("Top-1 accuracy, %", "Top-1", 100),
    "top1_change": Upright("Top-1 minus the same seed's dense Top-1, points", "Change", 100),
    "top5": Upright("Top-5 accuracy, %", "Top-5", 100),
    "perplexity": Upright("Perplexity: e to the loss (lower is better)", "Perplexity", 1, False),
}


class View(NamedTuple):
    """One figure of a network: what it is called in a file's name and on its tab, and its axes."""

    name: str
    tab: str
    x: str
    y: str


def views(language: bool) -> tuple[list[View], list[View]]:
    """The figures of a network: what is lost against compression, and what is gained for the same loss.

    Args:
        language: whether it is judged by its perplexity rather than by its accuracy.
    """
    main = "perplexity" if language else "top1"
    lost = [main, *(y for y in Y if y != main)]
    gained = {"speedup": "Theoretical speed-up", "file_bytes": "File", "latency_ms": "Latency", "inference_joules": "Energy"}
    return (
        [View("compression" if y == main else y.replace("_", "-"), Y[y].short, "compression", y) for y in lost],
        [View(x.split("_")[0].replace("inference", "energy"), tab, x, main) for x, tab in gained.items()],
    )


VIEWS = {language: views(language) for language in (False, True)}


def log_ticks(low: float, high: float) -> list[float]:
    """Round ticks for a log axis of ratios: powers of two, or finer steps where those are fewer than three.

    Example:
        >>> log_ticks(1.9, 33), log_ticks(1.1, 3.5)
        ([2.0, 4.0, 8.0, 16.0, 32.0], [1.5, 2.0, 3.0])
    """
    powers = [2.0**k for k in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    if len(powers) >= 3:
        return powers[:: math.ceil(len(powers) / 8)]
    halves = [p * f for p in [2.0**k for k in range(-4, 12)] for f in (1.0, 1.5) if low <= p * f <= high]
    return halves if len(halves) >= 2 else _between(low, high)


def decimal_ticks(low: float, high: float) -> list[float]:
    """Round ticks for a log axis of anything else: powers of ten, with 2 and 5 between where there is room.

    Example:
        >>> decimal_ticks(9e3, 2.2e5), decimal_ticks(1e3, 1e6)
        ([10000.0, 30000.0, 100000.0], [1000.0, 10000.0, 100000.0, 1000000.0])
    """
    scale = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    apart = (high / low) ** 0.12  # so that no two labels touch
    ticks: list[float] = []
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
        ticks = []
        for t in (float(f"{s}e{k}") for k in scale for s in steps):
            if low <= t <= high and (not ticks or t >= ticks[-1] * apart):
                ticks.append(t)
        if len(ticks) >= 3:
            return ticks
    return ticks if len(ticks) >= 2 else _between(low, high)


def _between(low: float, high: float) -> list[float]:
    rounded = {float(f"{low * (high / low) ** t:.3g}") for t in (0.1, 0.5, 0.9)}
    return sorted(t for t in rounded if low <= t <= high)


def _short(text: str) -> str:
    """``10.0 kB`` is ``10 kB``."""
    number, unit = text.split(" ")
    return f"{float(number):g} {unit}"
