"""The README's chart: what ``secateur demo`` finds on the digits, as a result file and a picture.

python benchmarks/experiments/demo_digits.py --out runs     # after `make demo` nothing is run again
"""

from __future__ import annotations

import dataclasses as dc
import shutil
from pathlib import Path

from common import arguments, write

from secateur.cli.demo import demo
from secateur.evaluate.report import aggregate, read_comparison

ASSETS = Path(__file__).parents[2] / "docs" / "assets"


def main() -> None:
    options = arguments()
    demo(out=options.out, data=options.data, workers=options.workers)
    found = read_comparison(options.out / "demo")
    rows = [{k: v for k, v in dc.asdict(s).items() if k not in ("seconds", "latency_ms")} for s in aggregate(found.points)]
    top1 = {(r["model"], r["method"], r["target"]): r["top1"]["mean"] for r in rows}
    models = dict.fromkeys(r["model"] for r in rows)
    methods = dict.fromkeys(r["method"] for r in rows if not r["control"])
    write(
        "demo-digits",
        "on scikit-learn's digits every method beats random pruning from compression 4 up",
        dict(found.settings),
        {"rows": rows},
        {
            "every method ≥ random at every compression ≥ 4": all(
                top1[n, m, c] >= top1[n, "random", c] for n in models for m in methods for c in (4.0, 8.0, 16.0, 32.0)
            )
        },
    )
    ASSETS.mkdir(parents=True, exist_ok=True)
    shutil.copy(options.out / "demo" / "figures" / "digits-digits_cnn-compression.png", ASSETS / "demo-digits.png")


if __name__ == "__main__":
    main()
