"""What the page says about one network on one task: its figures, its tables, its sentences."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from . import words as w
from .aggregate import DENSE, Summary, aggregate, best, dense_stat, front, pairs, said
from .checklist import same_training
from .data import Comparison, Point
from .figures import curves, layers, mask
from .figures.axes import VIEWS, View
from .figures.render import Rendered, render
from .figures.style import looks
from .significance import Difference, compare
from .tables import Table, cost_table, layer_table, summary_table
from .verdicts import Tab, difference_tabs

__all__ = ["Section", "sections"]

MAX_PNG = 30  # of curves; beyond that the main ones have a PNG, the others their SVG alone
MAX_FIGURES = 48  # of curves; with more networks than this allows for, each has its two main ones alone


class Section(NamedTuple):
    """What the report says about one (task, model)."""

    id: str
    task: str
    model: str
    dense: str
    headline: str
    unequal: str
    cards: list[tuple[str, str, str]]
    lost: list[Tab]
    gained: list[Tab]
    layers: Rendered | None
    mask: Rendered | None
    summary: Table
    by_layer: Table | None
    differences: list[Tab]
    cost: Table
    cost_note: str

    @property
    def figures(self) -> list[Rendered]:
        """All its figures."""
        return [t.figure for t in (*self.lost, *self.gained) if t.figure] + [f for f in (self.layers, self.mask) if f is not None]


def sections(comparison: Comparison, within: float = 0.01, differences: Sequence[Difference] | None = None) -> list[Section]:
    """One section per (task, model), its figures drawn.

    Args:
        comparison: what to show.
        within: what a knee may lose against dense, as a fraction.
        differences: between its methods; they are worked out when not given.
    """
    taken: set[str] = set()
    out = []
    tests = compare(comparison.points) if differences is None else differences
    everything = pairs(comparison.points)
    most = max(1, MAX_FIGURES // max(1, 2 * len(everything)))
    for task, model in everything:
        base = w.slug(f"{task}-{model}")
        id = next(x for n in itertools.count(1) if (x := base if n == 1 else f"{base}-{n}") not in taken)
        taken.add(id)
        mine = [d for d in tests if (d.task, d.model) == (task, model)]
        out.append(_section(comparison, task, model, id, within, mine, most, all_png=7 * len(everything) <= MAX_PNG))
    return out


def _section(
    comparison: Comparison,
    task: str,
    model: str,
    id: str,
    within: float,
    tests: Sequence[Difference],
    most: int,
    *,
    all_png: bool,
) -> Section:
    points = [p for p in comparison.points if (p.task, p.model) == (task, model)]
    groups, dense = aggregate(points), dense_stat(points, task, model)
    star = best(groups, dense, within)
    kept = layers.kept(points)
    pictures = [m for m in comparison.mask_pictures if (m.task, m.model) == (task, model)]
    seen_layers = f"Per-layer sparsity of {model} on {task}, in percent, by method and compression."
    seen = f"Share of first-layer weights of {model} left for every pixel of the picture, by method."
    lost, gained = VIEWS[any(s.language for s in groups)]
    draw = partial(_curve, comparison, points, groups, id, star)
    return Section(
        id=id, task=task, model=model, dense=w.percent_stat(dense), headline=_headline(star, within, dense is not None),
        unequal=_unequal(points), cards=_cards(star),
        lost=[draw(v, all_png or not i) for i, v in enumerate(_with_data(lost, groups)[:most])],
        gained=[draw(v, all_png or not i) for i, v in enumerate(_with_data(gained, groups)[:most])],
        layers=render(f"{id}-layers", seen_layers, partial(layers.draw, kept), 160 if all_png else 100) if kept else None,
        mask=render(f"{id}-mask", seen, partial(mask.draw, pictures)) if pictures else None,
        summary=summary_table(
            f"{id}-summary", f"{model} on {task}, mean ± standard deviation over seeds", groups, star, front(groups)
        ),
        by_layer=layer_table(f"{id}-by-layer", f"Entries removed per layer of {model}, %", kept),
        differences=difference_tabs(id, model, tests),
        cost=cost_table(f"{id}-cost", f"What the runs of {model} on {task} took", groups),
        cost_note=_cost_note(points),
    )  # fmt: skip


def _with_data(some: Sequence[View], groups: Sequence[Summary]) -> list[View]:
    """The views for which there is something to draw; the first always."""
    judged = [s for s in groups if s.method != DENSE]
    there = [v for v in some if any(getattr(s, v.x) is not None and getattr(s, v.y) is not None for s in judged)]
    shown = [v for v in there if v.y != "perplexity" or any(s.language for s in groups)]
    return shown if some[0] in shown else [some[0], *shown]


def _curve(
    comparison: Comparison,
    points: Sequence[Point],
    groups: Sequence[Summary],
    id: str,
    star: Summary | None,
    view: View,
    png: bool,
) -> Tab:
    task, model = points[0].task, points[0].model
    dense = dense_stat(points, task, model, view.y)
    overlay = [p for p in comparison.published if (p.task, p.model) == (task, model)]
    made = partial(curves.draw, groups, dense, view, looks(comparison.points), overlay)
    figure = render(f"{id}-{view.name}", _alt(task, model, view, groups, star), made, 160 if png else None)
    caption = CAPTIONS.get(view.x if view.x != "compression" else view.y, "")
    if curves.overlays(overlay, view):
        caption += " Dotted, hollow: published results, under their own conditions."
    return Tab(f"{id}-{view.name}", view.tab, caption.strip(), figure=figure)


RINGED = "Line: mean over seeds; band or bar: one standard deviation; ringed: on the Pareto front; dashed grey: controls."
CAPTIONS = {
    "top1": f"Accuracy against compression. {RINGED}",
    "perplexity": f"Perplexity against compression; lower is better. {RINGED}",
    "top1_change": f"What pruning costs: each run against the dense network of its own seed. {RINGED}",
    "top5": f"Top-5 accuracy against compression. {RINGED}",
    "speedup": "The same runs against theoretical speed-up. Where it differs from the figure beside it, weights and "
    "multiply-adds are not removed from the same layers.",
    "latency_ms": "The same runs against measured latency, in turns with the dense network on the machine named below. Zeros "
    "alone make nothing faster in dense kernels.",
    "file_bytes": "The same runs against the bytes of the saved file, header and indices included.",
    "inference_joules": "The same runs against the energy of one inference.",
}


def _cost_note(points: Sequence[Point]) -> str:
    """Who counted what, in one line."""
    memory, energy = said(p.peak_memory for p in points), said(p.training_energy for p in points)
    words = ["A run's own work: the training of the dense network it starts from is the dense row's."]
    if memory:
        words.append(f"Memory: {memory}.")
    if energy:
        words.append(f"Energy: {energy}{_RAPL if 'rapl' in energy else ''}.")
    return " ".join(words)


_RAPL = ", the whole processor package, whatever else ran there included"


def _alt(task: str, model: str, view: View, groups: Sequence[Summary], star: Summary | None) -> str:
    across = {"speedup": "theoretical speed-up", "latency_ms": "latency", "file_bytes": "file size", "inference_joules": "energy"}
    upright = {"top1": "Top-1 accuracy", "top1_change": "Change of Top-1", "top5": "Top-5 accuracy", "perplexity": "Perplexity"}
    methods = ", ".join(dict.fromkeys(w.title(s.method) for s in groups if s.method != DENSE))
    end = f" {w.title(star.method)} goes furthest near the dense accuracy." if star else ""
    named = f"{upright[view.y]} of {model} on {task} against {across.get(view.x, 'compression')}"
    return f"{named}: {methods}.{end} The numbers are in the table below."


def _headline(star: Summary | None, within: float, has_dense: bool) -> str:
    points = w.points(within)
    if not has_dense:
        return "The dense network was not evaluated, so no knee can be named."
    if star is None:
        return f"No method stays within {points} of the dense network at any compression tried."
    at = w.times(star.compression.mean) if star.compression else w.MISSING
    return f"At {at} compression {w.title(star.method)} stays within {points} of the dense network; no method here goes further."


def _points(within: float) -> str:
    return f"{100 * within:g} point{'' if within == 0.01 else 's'}"


def _unequal(points: Sequence[Point]) -> str:
    """What a reader must know before the curves: that methods were not fine-tuned alike."""
    check = same_training([p for p in points if p.error is None])
    return f"Not the same fine-tuning budget: {check.found.split(': ')[-1]}." if check.met is False else ""


def _cards(star: Summary | None) -> list[tuple[str, str, str]]:
    if star is None or star.compression is None:
        return []
    cards = [("Compression", w.times(star.compression.mean), "parameters ÷ non-zero")]
    if star.top1_change is not None:
        cards.append(("Top-1 change", f"{w.change(star.top1_change.mean)} pt", f"to {w.percent_stat(star.top1)} %"))
    if star.speedup is not None:
        cards.append(("Theoretical speed-up", w.times(star.speedup.mean), "multiply-adds ÷ those left"))
    if star.file_ratio is not None and star.file_bytes is not None:
        cards.append(("Smaller file", w.times(star.file_ratio.mean), f"{w.size(star.file_bytes.mean)} on disk"))
    if star.measured_speedup is not None and star.latency_ms is not None:
        cards.append(("Measured speed-up", w.times(star.measured_speedup.mean), f"{w.millis(star.latency_ms.mean)} a batch"))
    if star.energy_ratio is not None and star.inference_joules is not None:
        how = f"{w.joules(star.inference_joules.mean)}, {star.inference_energy}"
        cards.append(("Less energy", w.times(star.energy_ratio.mean), how))
    return cards
