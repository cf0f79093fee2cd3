"""docs/suite.md: what the standard suite's result files say, network by network, and its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from secateur.evaluate.report import words as w
from secateur.evaluate.report.aggregate import DENSE, Stat, Summary, aggregate, dense_stat, front
from secateur.evaluate.report.data import Point
from secateur.evaluate.report.figures import curves
from secateur.evaluate.report.figures.axes import VIEWS, View
from secateur.evaluate.report.figures.render import render
from secateur.evaluate.report.figures.style import looks

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "suite"
SWEEPS = ROOT / "benchmarks" / "suite"
ASSETS = ROOT / "docs" / "assets"
MADE = "<!-- made by docs/generate.py -->"
AT = 8.0  # the compression that sizes and speed-ups are shown at


def results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The result files that are there, by their stems."""
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.json"))}


def points(data: dict[str, Any]) -> list[Point]:
    """The runs of a result file."""
    return [Point(**dict(zip(data["columns"], row, strict=True))) for row in data["points"]]


def page(folder: Path = RESULTS) -> str:
    """The page; what has not been run is said."""
    found = results(folder)
    parts = [
        "# The standard suite", MADE,
        "Every method of the library on the same networks: the same initial weights, data order and training for all, three "
        "seeds, compressions of 2 to 32, controls beside them. The sweeps are `benchmarks/suite/*.yaml`; `make suite` runs them, "
        "goes on where it was stopped, and makes this page. The words are defined under [How we measure](how-we-measure.md).",
        "Budgets are what two cores can afford. They are the same for all methods, and they are small: where a method was "
        "published with a longer training, this page says how it does with this one.",
    ]  # fmt: skip
    for stem, data in found.items():
        parts += network(stem, data)
    lacking = [f.stem for f in sorted(SWEEPS.glob("*.yaml")) if f.stem not in found]
    if lacking:
        parts += ["## Not run yet", f"No result is there of {', '.join(f'`{s}`' for s in lacking)}."]
    return "\n\n".join(parts) + "\n"


def network(stem: str, data: dict[str, Any]) -> Iterator[str]:
    """What one sweep says."""
    runs = points(data)
    groups = aggregate(runs)
    view = main_view(groups)
    yield f"## {data['title']} {{ #{stem} }}"
    yield data["budget"]
    if data["finished"] < data["runs"]:
        yield (
            f"**Not finished**: {data['finished']} of {data['runs']} runs are there. Means are over the seeds that are, their "
            "number in parentheses where it is not all; ○ stands for runs that are still to come. The curves show what is there."
        )
    yield f"![{data['title']}: {Y_SAID[view.y]} against compression, a line each method](assets/suite-{stem}.svg){{ .figure }}"
    yield f"{Y_SAID[view.y][0].upper()}{Y_SAID[view.y][1:]}, mean ± standard deviation over seeds; **bold**: on the Pareto front."
    yield table(accuracy_rows(data, groups, dense_stat(runs, *names(runs), view.y), view))
    yield (
        f"At {AT:g}×: what else has been measured, means over seeds. Speed-up is theoretical: multiply-adds ÷ those left; the "
        "file is the run's own; steps are those of pruning and recovery."
    )
    yield table(other_rows(data, groups))
    for name, why in data["failed"].items():
        yield f"Failed: {name}: {why}."
    if data["left_out"]:
        yield "Left out: " + "; ".join(f"`{m}` ({why.split(':')[0]})" for _, m, why in data["left_out"]) + "."
    where = data["environment"]
    told = ", ".join(
        f"{k} {v}" for k in ("processor", "cores", "torch", "secateur", "commit", "date") if (v := said(where.get(k)))
    )
    yield f"Seeds {', '.join(map(str, data['seeds']))}. Measured on: {told}. File: `benchmarks/results/suite/{stem}.json`."


Y_SAID = {"top1": "Top-1 accuracy in percent", "perplexity": "perplexity"}


def main_view(groups: Sequence[Summary]) -> View:
    """Accuracy against compression; perplexity of a language model."""
    return VIEWS[any(s.language for s in groups)][0][0]


def names(runs: Sequence[Point]) -> tuple[str, str]:
    """The task and the network, which a sweep of the suite has one of."""
    (pair,) = {(p.task, p.model) for p in runs}
    return pair


def said(value: Any) -> str:
    """A fact about the machine; several where the runs were made on several."""
    return " and ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def accuracy_rows(data: dict[str, Any], groups: Sequence[Summary], dense: Stat | None, view: View) -> Iterator[list[str]]:
    """A row each method, a column each compression; what has a compression of its own in a column of its own."""
    asked, best, at_own = data["compressions"], {id(s) for s in front(groups)}, data["at_its_own_compression"]
    shown = w.number_stat if view.y == "perplexity" else w.percent_stat

    def cell(s: Summary | None) -> str:
        if s is None or getattr(s, view.y) is None:
            return ""
        text = shown(getattr(s, view.y)) + (f" ({s.n})" if s.n < len(data["seeds"]) else "")
        return f"**{text}**" if id(s) in best else text

    yield ["method", *(f"{c:g}×" for c in asked), *(["at its own"] if at_own else [])]
    yield ["dense", shown(dense), *("" for _ in asked[1:]), *([""] if at_own else [])]
    for method in in_order(data, groups):
        mine = {s.target: s for s in groups if s.method == method}
        none = "○" if sum(s.n for s in mine.values()) < data["wanted"][method] else "—"
        if method in at_own:
            cells = [*("" for _ in asked), "<br>".join(f"{cell(s)} at {t:.3g}×" for t, s in mine.items()) or none]
        else:
            cells = [*(cell(mine.get(c)) or none for c in asked), *([""] if at_own else [])]
        yield [title(method, groups), *cells]


def other_rows(data: dict[str, Any], groups: Sequence[Summary]) -> Iterator[list[str]]:
    """Speed-up, file, the accuracy before recovery and steps, at one compression."""
    yield ["method", "speed-up", "file", "before recovery", "steps"]
    at = {s.method: s for s in groups if s.target == AT and s.method != DENSE}
    for s in (at[m] for m in in_order(data, groups) if m in at):
        mean = {n: None if (x := getattr(s, n)) is None else x.mean for n in ("speedup", "file_bytes", "top1_before", "steps")}
        steps = w.MISSING if mean["steps"] is None else f"{mean['steps']:,.0f}"
        before = w.percent(mean["top1_before"])
        yield [title(s.method, groups), w.times(mean["speedup"]), w.size(mean["file_bytes"]), before, steps]


def in_order(data: dict[str, Any], groups: Sequence[Summary]) -> list[str]:
    """The methods, controls last, those without a run yet among them."""
    controls = {s.method for s in groups if s.control}
    return sorted((m for m in data["wanted"] if m != DENSE), key=lambda m: (m in controls, m))


def title(method: str, groups: Sequence[Summary]) -> str:
    """A method's name for a table."""
    return f"{w.title(method)} (control)" if any(s.control for s in groups if s.method == method) else w.title(method)


def table(rows: Iterator[list[str]]) -> str:
    """A table, its first row the head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in rows]
    return "\n".join([lines[0], "|---" * (lines[0].count(" | ") + 1) + "|", *lines[1:]])


def figures(folder: Path = RESULTS) -> dict[Path, str]:
    """The curves, as the library's own report draws them; needs matplotlib."""
    drawn = {}
    for stem, data in results(folder).items():
        runs = points(data)
        groups = aggregate(runs)
        view = main_view(groups)
        draw = partial(curves.draw, groups, dense_stat(runs, *names(runs), view.y), view, looks(runs))
        drawn[ASSETS / f"suite-{stem}.svg"] = render(f"suite-{stem}", data["title"], draw, None).svg
    return drawn
