"""What the suite's finished runs say, as one small file a network, for the documentation.

    python benchmarks/suite/collect.py --out runs/suite      # writes benchmarks/results/suite/*.json
    python docs/generate.py                                  # docs/suite.md, and its figures

A sweep that is not finished is written too, with what is missing.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from secateur.evaluate.report import Comparison
from secateur.lab import Outcome, Plan, Sweep, comparison, make_plan
from secateur.lab.needs import finished

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "suite"
COLUMNS = (
    "task", "model", "method", "target_compression", "seed", "control", "kind", "compression", "speedup", "top1", "dense_top1",
    "validation_change", "top1_before", "loss", "dense_loss", "file_bytes", "dense_bytes", "latency_ms", "dense_latency_ms",
    "seconds", "steps", "peak_bytes",
)  # fmt: skip


def budget(file: Path) -> str:
    """The comment at the head of a sweep's file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return " ".join(line.removeprefix("#").strip() for line in head)


def outcomes(plan: Plan, root: Path) -> Iterator[Outcome]:
    """Every run of the plan: finished, or not."""
    for e in plan.experiments:
        yield finished(e, root) or Outcome(e, error="not run yet", tries=0)


def rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def document(file: Path, sweep: Sweep, plan: Plan, found: list[Outcome], made: Comparison) -> dict[str, Any]:
    """All that the page needs."""
    done = [p for p in made.points if p.error is None]
    own = [p.method for o, p in zip(found, made.points, strict=True) if o.experiment.recipe and o.experiment.compression is None]
    missing = [o for o in found if o.error == "not run yet"]
    failed = {f"{o.experiment.label}, seed {o.experiment.seed}": o.error for o in found if o.error and o not in missing}
    return {
        "title": sweep.title,
        "budget": budget(file),
        "seeds": list(sweep.seeds),
        "compressions": list(sweep.compressions),
        "runs": len(found),
        "finished": len(done),
        "seconds": round(sum(p.seconds or 0.0 for p in done)),
        "wanted": Counter(p.method for p in made.points),
        "at_its_own_compression": sorted(set(own)),
        "failed": failed,
        "left_out": sorted({(x.network, x.method, x.why) for x in plan.left_out}),
        "environment": dict(made.environment),
        "columns": list(COLUMNS),
        "points": [[rounded(getattr(p, c)) for c in COLUMNS] for p in made.points if p.error is None],
    }


def dumped(whole: dict[str, Any]) -> str:
    """A line each point, so that a new run is a line in a diff."""
    points = ",\n".join(json.dumps(p, ensure_ascii=False) for p in whole["points"])
    rest = json.dumps({k: v for k, v in whole.items() if k != "points"}, indent=1, ensure_ascii=False)
    return f'{rest[:-2]},\n "points": [\n{points}\n ]\n}}\n'


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path, help="sweeps [default: all of the suite]")
    parser.add_argument("--out", type=Path, default=Path("runs/suite"), help="folder of the runs")
    parser.add_argument("--data", type=Path, default=None, help="where to look for data sets first")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for file in options.files or sorted(HERE.glob("*.yaml")):
        sweep = Sweep.load(file)
        plan = make_plan(sweep, options.out, options.data)
        found = list(outcomes(plan, options.out))
        if not any(o.result for o in found):
            print(f"{file.stem}: no run is finished")
            continue
        made = comparison(found, options.out, title=sweep.title)
        whole = document(file, sweep, plan, found, made)
        (RESULTS / f"{file.stem}.json").write_text(dumped(whole), encoding="utf-8")
        print(f"{file.stem}: {whole['finished']} of {whole['runs']} runs")


if __name__ == "__main__":
    main()
