"""Writes what the documentation says about methods and measurements, from the library and the result files.

``python docs/generate.py`` rewrites the marked regions of README.md and docs/index.md, docs/methods.md,
docs/results.md, docs/suite.md with its figures, and docs/zoo.md; ``--check`` only says whether they are up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import suite_page
import zoo_page

from secateur.core.component import AXES
from secateur.methods import METHODS, Method

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHART = ROOT / "docs" / "assets" / "demo-digits.png"
MADE = "<!-- made by docs/generate.py -->"


def link(source: str) -> str:
    """An arXiv number as a link."""
    return f"[{source}](https://arxiv.org/abs/{source.removeprefix('arXiv:')})" if source.startswith("arXiv:") else source


def measured(method: Method) -> dict[str, dict[str, Any]]:
    """The result files of a method that are there, by their stems."""
    paths = [RESULTS / name for name in method.results]
    return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in paths if p.exists()}


def figure(method: Method, *, page: bool) -> str:
    """Where our figures of a method are, or a dash."""
    told = []
    for stem, data in measured(method).items():
        holds = list((data.get("holds") or {}).values())
        said = f": {sum(holds)} of {len(holds)} checks hold" if holds else ""
        told.append((f"[{stem}](results.md#{stem})" if page else f"[{stem}](benchmarks/results/{stem}.json)") + said)
    return "<br>".join(told) or "—"


def beside(method: Method) -> Iterator[str]:
    """What was published, and what we measured of it."""
    for stem, data in measured(method).items():
        published = (data.get("settings") or {}).get("published")
        yield f"**Measured**: [{stem}](results.md#{stem})." + (f" Published: {published}." if published else "")
        holds = data.get("holds") or {}
        if holds:
            yield asked(holds)


def methods_table(*, page: bool) -> str:
    """One row a method."""
    rows = ["| method | paper | the five words | our figures |", "|---|---|---|---|"]
    for m in METHODS.values():
        name = f"[`{m.name}`](#{m.name})" if page else f"`{m.name}`"
        words = " · ".join(m.axes().values()) + m.then
        rows.append(
            f"| {name}{' (control)' if m.control else ''} | {m.paper}, {link(m.source)} | {words} | {figure(m, page=page)} |"
        )
    return "\n".join(rows)


def methods_page() -> str:
    """docs/methods.md."""
    parts = [
        "# Methods", MADE,
        "A published method is a function that returns a [`Recipe`](reference.md): five words, one an axis; or a "
        "[`Pipeline`](guides/deep-compression.md), whose first stage is a recipe. Its arguments are the method's own. A control "
        "is there to be beaten.",
        '```python\nimport secateur as sc\nfrom secateur.methods import METHODS, make, zhu_gupta_2018\n\n'
        'recipe = zhu_gupta_2018(sparsity=0.9, begin=0, end=1000, every=100)\n'
        'assert recipe == make("zhu_gupta_2018", sparsity=0.9)  # by name, as in files\n'
        'print(METHODS["zhu_gupta_2018"].claim)\n```',
        "```console\n$ secateur methods\n```",
        methods_table(page=True),
        "A dash means that we have measured nothing yet. Every figure comes from a file under `benchmarks/results/`, which a "
        "script in `benchmarks/experiments/` writes again; they are shown under [Our figures](results.md).",
    ]  # fmt: skip
    for m in METHODS.values():
        words = " · ".join(f"[{w}](axes/{a}.md)" for a, w in m.axes().items()) + m.then
        parts += [f"## {m.name}", f"**The paper's claim.** {m.claim[0].upper()}{m.claim[1:]}.", f"{words}",
                  *beside(m), f"::: secateur.methods.{m.build.__module__.rsplit('.', 1)[1]}.{m.name}\n    options:\n"
                  "      show_root_heading: false\n      show_root_toc_entry: false"]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def show(value: Any) -> str:
    """A figure as a reader wants it."""
    if isinstance(value, dict):  # a mean, its spread, and of how many
        spread = f" ± {value['std']:.2g}" if value.get("std") else ""
        return f"{show(value['mean'])}{spread}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return "—" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def words(*names: str) -> str:
    """Keys of a result file as a label."""
    return " · ".join(n.replace("_", " ") for n in names)


def leaf(value: Any) -> bool:
    """Whether a value is one figure, a mean with its spread, or a plain list."""
    if isinstance(value, list):
        return not (value and isinstance(value[0], dict))
    return not isinstance(value, dict) or "mean" in value


def groups(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every set of figures that stand side by side, by the path that leads to it."""
    own = {k: v for k, v in value.items() if leaf(v)}
    if own:
        yield path, own
    for k, v in value.items():
        if isinstance(v, list) and not leaf(v):
            yield from ((path, {a: b for a, b in row.items() if leaf(b)}) for row in v)
        elif not leaf(v):
            yield from groups(v, (*path, k))


def figure_tables(figures: dict[str, Any]) -> Iterator[str]:
    """Sets of the same figures as the rows of one table, a set of its own as a list."""
    alike: dict[tuple[Any, ...], list[tuple[tuple[str, ...], dict[str, Any]]]] = {}
    for path, own in groups(figures):
        alike.setdefault((len(path), tuple(own)), []).append((path, own))
    for (depth, names), rows in alike.items():
        if len(rows) == 1:
            path, own = rows[0]
            yield markdown([["figure", "value"], *([words(*path, k), show(v)] for k, v in own.items())])
            continue
        told = [n for n in names if any(own[n] is not None for _, own in rows)]
        deep = [d for d in range(depth) if len({path[d] for path, _ in rows}) > 1]
        body = ([*(words(path[d]) for d in deep), *(show(own[n]) for n in told)] for path, own in rows)
        yield markdown([[*("" for _ in deep), *map(words, told)], *body])


def markdown(rows: list[list[str]]) -> str:
    """A table, its first row the head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def asked(holds: dict[str, bool]) -> str:
    """The checks of a result file as a table."""
    return markdown([["what is asked", "answer"], *([k, "holds" if v else "**does not hold**"] for k, v in holds.items())])


def result_part(path: Path) -> Iterator[str]:
    """One result file as Markdown."""
    data = json.loads(path.read_text(encoding="utf-8"))
    yield f"## {path.stem} {{ #{path.stem} }}"
    if data.get("claim"):
        yield f"Claim: {data['claim']}."
    holds = data.get("holds") or {}
    published = (data.get("settings") or {}).get("published")
    if published:
        yield f"Published: {published}."
    if holds:
        yield asked(holds)
    yield from data.get("notes") or []
    yield from figure_tables(data.get("figures") or {})
    where = data.get("environment") or {}
    asked_for = ("processor", "accelerator", "threads", "torch", "commit", "date")
    told = ", ".join(f"{k} {where[k]}" for k in asked_for if where.get(k))
    yield f"File: `benchmarks/results/{path.name}`." + (f" Measured on: {told}." if told else "")


def results_page() -> str:
    """docs/results.md."""
    parts = [
        "# Our figures",
        MADE,
        "Every figure of this project comes from a file under `benchmarks/results/`, with the settings, the machine and the "
        "commit it was measured with; ± is the standard deviation over seeds. What a claim asks that does not hold is said too. "
        "The words are defined under [How we measure](how-we-measure.md).",
        "All methods side by side on the same networks are [the standard suite](suite.md); what is here looks at a claim each.",
    ]
    files = sorted(RESULTS.glob("*.json"))
    for path in files:
        parts += result_part(path)
    if not files:
        parts.append("No result file is there yet.")
    return "\n\n".join(parts) + "\n"


def chart(*, page: bool) -> str:
    """The one measured chart, if it has been measured."""
    if not (CHART.exists() and (RESULTS / "demo-digits.json").exists()):
        return "*No chart yet: `make demo` measures it.*"
    image = "assets/demo-digits.png" if page else "docs/assets/demo-digits.png"
    where = (
        "[the result file](results.md#demo-digits)"
        if page
        else "[benchmarks/results/demo-digits.json](benchmarks/results/demo-digits.json)"
    )
    picture = f"![Accuracy against compression on the digits, dense networks included]({image})" + ("{ .figure }" if page else "")
    return f"{picture}\n\nMeasured by `make demo`, mean and spread over seeds; the numbers are in {where}."


def fill(file: str, **regions: str) -> str:
    """The file's text with its marked regions replaced."""
    text = (ROOT / file).read_text(encoding="utf-8")
    for name, body in regions.items():
        start, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{file} has no region {start} … {end}")
        text = f"{before}{start}\n{body}\n{end}{after}"
    return text


def pages() -> dict[str, str]:
    """Every generated file's text by its path."""
    assert len(AXES) == 5
    return {
        "README.md": fill("README.md", chart=chart(page=False), methods=methods_table(page=False)),
        "docs/index.md": fill("docs/index.md", chart=chart(page=True)),
        "docs/methods.md": methods_page(),
        "docs/results.md": results_page(),
        "docs/suite.md": suite_page.page(),
        "docs/zoo.md": zoo_page.page(),
    }


def main() -> None:
    """Write, or check."""
    stale = [f for f, text in pages().items() if not (ROOT / f).exists() or (ROOT / f).read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        if stale:
            raise SystemExit(f"not up to date: {', '.join(stale)}; run python docs/generate.py")
        return
    for f in stale:
        (ROOT / f).write_text(pages()[f], encoding="utf-8")
        print(f)
    for path, svg in suite_page.figures().items():
        path.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
