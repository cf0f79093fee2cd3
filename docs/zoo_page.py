"""docs/zoo.md: what the zoo's result files say, model by model."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
MADE = "<!-- made by docs/generate.py -->"
VERDICTS = {
    "pass": "every check passed",
    "nothing to cut": "no group of units can be removed without changing what the rest computes",
    "nothing cut": "the model's Python cannot follow, so everything was put back",
    "untraceable": "`torch.export` cannot follow the model",
    "refused": "the library says that it cannot shrink the model",
    "insensitive": "the output does not depend on the input, so that nothing can be checked",
    "wrong": "**an output that is not that of the masked model**",
    "broken": "the smaller model does not run",
    "broken at another batch size": "it runs at the batch size it was pruned with alone",
    "changed": "parameters or outputs are not what they were cut from",
    "no gradient": "gradients are missing or not finite",
    "not saved": "it cannot be saved",
    "not loaded": "it cannot be loaded in a new process",
    "loaded another": "what is loaded computes something else",
    "error": "an exception that is no answer",
    "timeout": "it took too long",
    "died": "the process died",
}


def page(folder: Path = RESULTS) -> str:
    """The page, or a line that says how to make it."""
    file = folder / "zoo.csv"
    head = ["# The zoo", MADE]
    if not file.exists():
        return "\n\n".join([*head, "No result file is there yet: `make zoo` writes it."]) + "\n"
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    where, versions = about["environment"], about["versions"]
    told = ", ".join(
        f"{k} {v}" for k, v in {**versions, **{k: where[k] for k in ("torch", "processor", "commit", "date")}}.items() if v
    )
    parts = [
        *head,
        "Other people's models, with random weights: half of the units of every group are cut out of the model in place. "
        "`make zoo` makes this page again; how a model passes is said in `tests/zoo`.",
        about["notes"][0],
        f"Measured with {told}; settings: {', '.join(f'{k} {v}' for k, v in about['settings'].items())}.",
        table([["what is asked", "answer"], *([k, "holds" if v else "**does not hold**"] for k, v in about["holds"].items())]),
        "## In short",
        *short(rows),
        "## Verdicts",
        table([["verdict", "means"], *([v, VERDICTS[v]] for v in VERDICTS if v in seen(rows))]),
    ]
    for library in dict.fromkeys(r["library"] for r in rows):
        parts += [f"## {library}", models([r for r in rows if r["library"] == library])]
    return "\n\n".join(parts) + "\n"


def seen(rows: Iterable[dict[str, str]]) -> set[str]:
    """All verdicts that were given."""
    return {r[c] for r in rows for c in ("verdict", "verdict_narrow", "verdict_tp")}


def short(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    """Pass rates by library, and which verdicts the others got."""
    libraries = list(dict.fromkeys(r["library"] for r in rows))
    lines = [["library", "models", "Secateur", "norms narrowed too", "Torch-Pruning"]]
    for library in [*libraries, "all"]:
        own = [r for r in rows if library in ("all", r["library"])]
        lines.append([library, str(len(own)), *(rate(own, c) for c in ("verdict", "verdict_narrow", "verdict_tp"))])
    yield table(lines)
    for name, column in (("Secateur", "verdict"), ("Torch-Pruning", "verdict_tp")):
        count = Counter(r[column] for r in rows if r[column])
        yield f"{name}: " + ", ".join(f"{n} {verdict}" for verdict, n in count.most_common()) + "."


def rate(rows: Sequence[dict[str, str]], column: str) -> str:
    """How many passed, of those that were tried."""
    tried = [r[column] for r in rows if r[column]]
    passed = tried.count("pass")
    return f"{passed} ({passed / len(tried):.0%})" if tried else "—"


def models(rows: Sequence[dict[str, str]]) -> str:
    """One line a model."""
    lines = [
        ["model", "verdict", "MACs", "parameters", "narrowed: verdict", "MACs", "Torch-Pruning", "s", "what stayed, and why"]
    ]
    for r in rows:
        why = " — ".join(filter(None, (r["detail"] if r["verdict"] != "pass" else "", r["held"])))
        lines.append(
            [f"`{r['model']}`", r["verdict"], r["macs"], r["params"], r["verdict_narrow"], r["macs_narrow"], r["verdict_tp"],
             r["seconds"], plain(why)]
        )  # fmt: skip
    return table(lines)


def plain(text: str, most: int = 160) -> str:
    """Text that Markdown leaves as it is, cut where it gets long."""
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("`", "'")


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table, its first row the head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in r) + " |" for r in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
