"""The page: everything the template needs, and the template."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, NamedTuple

from ...core.errors import require
from . import words as w
from .aggregate import DENSE, Summary, aggregate, best, dense_stat, pairs
from .checklist import checklist
from .data import Comparison, Point
from .figures import curves, layers, mask
from .figures.render import Rendered, render
from .figures.style import looks
from .tables import Table, layer_table, point_table, summary_table

__all__ = ["Section", "html", "sections"]

MAX_ROWS = 1200  # a bigger table is of no use in a page; points.csv has every row


class Section(NamedTuple):
    """What the report says about one (task, model)."""

    id: str
    task: str
    model: str
    dense: str
    headline: str
    cards: list[tuple[str, str, str]]
    curves: list[Rendered]
    layers: Rendered | None
    mask: Rendered | None
    summary: Table
    by_layer: Table | None

    @property
    def figures(self) -> list[Rendered]:
        """All its figures."""
        return [*self.curves, *(f for f in (self.layers, self.mask) if f is not None)]


def sections(comparison: Comparison, within: float = 0.01) -> list[Section]:
    """One section per (task, model), its figures drawn.

    Args:
        comparison: what to show.
        within: what a knee may lose against dense, as a fraction.
    """
    taken: set[str] = set()
    out = []
    for task, model in pairs(comparison.points):
        base = w.slug(f"{task}-{model}")
        id = next(x for n in itertools.count(1) if (x := base if n == 1 else f"{base}-{n}") not in taken)
        taken.add(id)
        out.append(_section(comparison, task, model, id, within))
    return out


def _section(comparison: Comparison, task: str, model: str, id: str, within: float) -> Section:
    points = [p for p in comparison.points if (p.task, p.model) == (task, model)]
    groups, dense, look = aggregate(points), dense_stat(points, task, model), looks(comparison.points)
    star = best(groups, dense, within)
    kept = layers.kept(points)
    pictures = [m for m in comparison.mask_pictures if (m.task, m.model) == (task, model)]
    drawn = [
        render(f"{id}-{name}", _alt(task, model, name, groups, star), partial(curves.draw, groups, dense, name, look))
        for name in ("compression", "speedup")
    ]
    said = f"Per-layer sparsity of {model} on {task}, in percent, by method and compression."
    seen = f"Share of first-layer weights of {model} left for every pixel of the picture, by method."
    return Section(
        id=id, task=task, model=model, dense=w.percent_stat(dense), headline=_headline(star, within, dense is not None),
        cards=_cards(star), curves=drawn,
        layers=render(f"{id}-layers", said, partial(layers.draw, kept)) if kept else None,
        mask=render(f"{id}-mask", seen, partial(mask.draw, pictures)) if pictures else None,
        summary=summary_table(f"{id}-summary", f"{model} on {task}, mean ± standard deviation over seeds", groups, star),
        by_layer=layer_table(f"{id}-by-layer", f"Entries removed per layer of {model}, %", kept),
    )  # fmt: skip


def _alt(task: str, model: str, name: str, groups: Sequence[Summary], star: Summary | None) -> str:
    axis = "compression" if name == "compression" else "theoretical speed-up"
    methods = ", ".join(dict.fromkeys(w.title(s.method) for s in groups if s.method != DENSE))
    end = f" {w.title(star.method)} goes furthest near the dense accuracy." if star else ""
    return f"Top-1 accuracy of {model} on {task} against {axis}: {methods}.{end} The numbers are in the table below."


def _headline(star: Summary | None, within: float, has_dense: bool) -> str:
    points = _points(within)
    if not has_dense:
        return "The dense network was not evaluated, so no knee can be named."
    if star is None:
        return f"No method stays within {points} of the dense network at any compression tried."
    at = w.times(star.compression.mean) if star.compression else w.MISSING
    return f"At {at} compression {w.title(star.method)} stays within {points} of the dense network; no method here goes further."


def _points(within: float) -> str:
    return f"{100 * within:g} point{'' if within == 0.01 else 's'}"


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
    return cards


def html(comparison: Comparison, parts: Sequence[Section], within: float = 0.01) -> str:
    """The page as text. Everything that comes from outside is escaped."""
    jinja2: Any = require("jinja2", "report")
    folder = files(__package__ or "secateur.evaluate.report")
    script, css, dark = ((folder / n).read_text(encoding="utf-8").strip() for n in ("report.js", "report.css", "dark.css"))
    # The dark colours apply in two cases, and CSS cannot name a set of variables once.
    chosen = f":root[data-theme=dark] {{ {dark} }}"
    both = f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n{chosen}"
    css = css.replace("/*DARK*/", both)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    template = environment.from_string((folder / "template.html").read_text(encoding="utf-8"))
    shown = sorted(comparison.points, key=lambda p: p.error is None)[:MAX_ROWS]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text: str = template.render(
        title=comparison.title, lede=lede(comparison.points), sections=parts, script=script, css=css,
        within=_points(within), script_hash=digest,
        failed=[(p.label, p.error) for p in comparison.points if p.error is not None][:MAX_ROWS],
        points=point_table("points", "Every run, failed ones first", shown), left_out=len(comparison.points) - len(shown),
        recipes={w.title(m): _yaml(r) for m, r in comparison.recipes.items()}, checks=checklist(comparison),
        environment=_flat(comparison.environment), settings=_flat(comparison.settings), notes=comparison.notes,
    )  # fmt: skip
    return text


def lede(points: Sequence[Point]) -> str:
    """What was compared, in one sentence.

    Example:
        >>> lede([Point(task="digits", model="mlp", method="random", seed=0, target_compression=2.0, control=True)])
        '0 methods and 1 control on 1 network, 1 compression, 1 seed: 1 run, none failed.'
    """
    methods = len({p.method for p in points if not p.control})
    controls = len({p.method for p in points if p.control})
    targets = len({p.target_compression for p in points if p.method != DENSE})
    failed = sum(p.error is not None for p in points)
    return (
        f"{w.count(methods, 'method')} and {w.count(controls, 'control')} on {w.count(len(pairs(points)), 'network')}, "
        f"{w.count(targets, 'compression')}, {w.count(len({p.seed for p in points}), 'seed')}: "
        f"{w.count(len(points), 'run')}, {failed or 'none'} failed."
    )


def _yaml(recipe: Any) -> str:
    if isinstance(recipe, str):
        return recipe
    yaml: Any = require("yaml", "report")
    text: str = yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)
    return text


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            out += _flat(value, f"{prefix}{key}.")
        else:
            out.append(
                (
                    f"{prefix}{w.title(str(key))}",
                    ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value),
                )
            )
    return out
