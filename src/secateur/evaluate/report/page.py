"""The page: everything the template needs, and the template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from ...core.errors import require
from . import words as w
from .aggregate import DENSE, pairs
from .checklist import checklist
from .data import Comparison, Point
from .section import Section
from .tables import point_table, published_table

__all__ = ["html"]

MAX_ROWS = 1200  # a bigger table is of no use in a page; points.csv has every row
MAX_BYTES = 5_000_000


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
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    fixed = {
        "title": comparison.title, "lede": lede(comparison.points), "sections": parts, "script": script, "css": css,
        "within": w.points(within), "script_hash": digest,
        "failed": [(p.label, p.error) for p in comparison.points if p.error is not None][:MAX_ROWS],
        "recipes": {w.title(m): _yaml(r) for m, r in comparison.recipes.items()}, "checks": checklist(comparison),
        "environment": _flat(comparison.environment), "settings": _flat(comparison.settings), "notes": comparison.notes,
        "unread": comparison.left_out,
        "published": published_table(comparison.published) if comparison.published else None,
    }  # fmt: skip
    ordered = sorted(comparison.points, key=lambda p: p.error is None)
    for rows in (MAX_ROWS, MAX_ROWS // 4, MAX_ROWS // 20):  # a page that got too big can do with fewer of its rows
        shown = ordered[:rows]
        table = point_table("points", "Every run, failed ones first", shown)
        text: str = template.render(**fixed, points=table, left_out=len(ordered) - len(shown))
        if len(text.encode()) <= MAX_BYTES:
            break
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
