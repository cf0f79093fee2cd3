"""The result files: every model a line of zoo.csv, and what it comes to in zoo.json."""

from __future__ import annotations

import csv
import dataclasses as dc
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secateur.core.environment import environment

from .check import SENSITIVE, TOLERANCE, Row
from .packages import installed

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def write(rows: Sequence[Row], folder: Path = RESULTS, **settings: Any) -> None:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = [f.name for f in dc.fields(Row)]
    with (folder / "zoo.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(fields)
        table.writerows([shown(getattr(r, f)) for f in fields] for r in rows)
    (folder / "zoo.json").write_text(json.dumps(summary(rows, settings), indent=2) + "\n", encoding="utf-8")


def shown(value: Any) -> Any:
    """A cell."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else value


def summary(rows: Sequence[Row], settings: dict[str, Any]) -> dict[str, Any]:
    """Counts, rates and what was asked, as the other result files have them."""
    tried = [r for r in rows if r.library != "own"]
    libraries = {name: [r for r in tried if r.library == name] for name in dict.fromkeys(r.library for r in tried)}
    figures = {name: figures_of(own) for name, own in [*libraries.items(), ("all", tried)] if own}
    hf = figures.get("transformers", {}).get("pass rate", 0.0)
    return {
        "claim": "50 % of the units of any model of Transformers, timm and torchvision are cut in place, and what is left "
        "equals the masked model",
        "holds": {
            "at least 150 models": len(tried) >= 150,
            "at least 97 % of Transformers pass": hf >= 0.97,
            "at least 95 % of all pass": figures["all"]["pass rate"] >= 0.95 if tried else False,
            "none is silently wrong": not any("wrong" in (r.verdict, r.verdict_narrow) for r in rows),
            "median of 5 s a model at most": bool(tried) and figures["all"]["median seconds"] <= 5,
        },
        "notes": [
            "Random weights, small inputs, half of the units of every group. A pass: equal to the masked dense model "
            f"(relative error below {TOLERANCE:g} in float64) on two batch sizes, finite gradients, saved, loaded in a new "
            f"process into a newly built dense model, equal again. An output that changes by less than {SENSITIVE:g} with the "
            "input passes nothing. Torch-Pruning is run as its README shows, with no hand help, within 20 s, and has the same "
            "checks. Every model: benchmarks/results/zoo.csv."
        ],
        "figures": figures,
        "settings": settings,
        "versions": {p: installed(p) for p in ("transformers", "timm", "torchvision", "torch-pruning")},
        "environment": environment(),
    }


def figures_of(rows: Sequence[Row]) -> dict[str, Any]:
    """What one library comes to."""
    passed = [r for r in rows if r.verdict == "pass"]
    rival = [r for r in rows if r.verdict_tp == "pass"]
    middle = lambda values: round(statistics.median(values), 3) if values else None  # noqa: E731
    return {
        "models": len(rows),
        "pass": len(passed),
        "pass rate": round(len(passed) / len(rows), 4),
        "wrong": sum(r.verdict == "wrong" for r in rows),
        "pass with norms narrowed": sum(r.verdict_narrow == "pass" for r in rows),
        "wrong with norms narrowed": sum(r.verdict_narrow == "wrong" for r in rows),
        "median macs left, norms narrowed": middle([r.macs_narrow for r in rows if r.macs_narrow and r.verdict_narrow == "pass"]),
        "median macs left": middle([r.macs for r in passed if r.macs is not None]),
        "median params left": middle([r.params for r in passed if r.params is not None]),
        "median seconds": middle([r.seconds for r in rows if r.seconds is not None]),
        "slowest": round(max((r.seconds or 0.0 for r in rows), default=0.0), 1),
        "pass torch-pruning": len(rival),
        "wrong torch-pruning": sum(r.verdict_tp == "wrong" for r in rows),
    }


def counts(rows: Sequence[Row]) -> str:
    """Verdicts and how often they were given, for the terminal."""
    lines = []
    for name, column in (("secateur", "verdict"), ("norms narrowed", "verdict_narrow"), ("torch-pruning", "verdict_tp")):
        count = Counter(getattr(r, column) for r in rows)
        lines.append(f"{name}: " + ", ".join(f"{n} {v or 'not tried'}" for v, n in count.most_common()))
    return "\n".join(lines)
