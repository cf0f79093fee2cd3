"""When does a network become stable to the data order, and are winning tickets those that are? (Frankle et al. 2020).

Two copies of a network at step k are trained to the end with different data orders; the error between them is what the
straight line between their weights rises by. A network of two convolutions, which a CPU trains in half a minute.

    python benchmarks/experiments/instability.py       # writes benchmarks/results/instability.json
"""

from __future__ import annotations

import dataclasses as dc
import json
from pathlib import Path
from typing import Any

from common import arguments, finish, mean_std, side_by_side, write
from small_cifar import START

from secateur.lab import Experiment, instability

SEEDS = (0, 1, 2)
SPARSITY, ROUNDS = 0.9, 3
LATE, LAST = 157, 1570  # 5 and 50 % of the steps
STEPS = (0, LATE, LAST)
MATCHES = 1.0  # pt under dense, at most
POINTS = 7


def rewound(seed: int, to: int) -> Experiment:
    """A tenth of the weights, trained from those of this step."""
    method = "late_rewinding" if to else "lottery_ticket"
    given = (("sparsity", SPARSITY), ("rounds", ROUNDS), ("to", to))
    return dc.replace(START, method=method, method_arguments=given, seed=seed)


def line(experiment: Experiment, at_step: int, out: Path, data: Path | None) -> list[float]:
    """The errors between two copies; a finished line is read from its file."""
    file = out / f"instability-{experiment.id}-{at_step}.json"
    if file.exists():
        return list(json.loads(file.read_text()))
    errors = instability(experiment, out, at_step=at_step, data=data, points=POINTS).errors
    file.write_text(json.dumps(errors))
    return list(errors)


def figures_of(lines: list[list[float]], top1: list[float]) -> dict[str, Any]:
    ends = [(e[0] + e[-1]) / 2 for e in lines]
    return {
        "barrier_pt": mean_std(100 * (max(e) - end) for e, end in zip(lines, ends, strict=True)),
        "error_at_the_ends_percent": mean_std(100 * e for e in ends),
        "top1_of_the_run": mean_std(top1),
    }


def main() -> None:
    options = arguments()
    runs = finish([rewound(s, k) for s in SEEDS for k in (0, LATE)], options)
    top1 = {o.experiment.id: o.result["test"]["top1"] for o in runs if o.result is not None}
    cases: dict[tuple[str, int], list[Experiment]] = {("dense", k): [rewound(s, 0).dense() for s in SEEDS] for k in STEPS}
    cases |= {("sub-network", k): [rewound(s, k) for s in SEEDS] for k in (0, LATE)}
    asked = [(e, k, options.out, options.data) for (_, k), es in cases.items() for e in es]
    answers = iter(side_by_side(line, asked, options.workers))
    lines = {c: [next(answers) for _ in es] for c, es in cases.items()}
    found = {f"{kind} from step {k}": figures_of(lines[kind, k], [top1[e.id] for e in cases[kind, k]]) for kind, k in cases}

    def barrier(kind: str, k: int) -> float:
        return float(found[f"{kind} from step {k}"]["barrier_pt"]["mean"])

    dense, last = 100 * found["dense from step 0"]["top1_of_the_run"]["mean"], STEPS[-1]
    checks = {
        f"dense: unstable from step 0 ({barrier('dense', 0):.1f} pt)": barrier("dense", 0) >= 2,
        f"dense: stable from step {last} ({barrier('dense', last):.1f} pt)": barrier("dense", last) < 2,
        "dense: the later, the more stable": barrier("dense", 0) > barrier("dense", LATE) > barrier("dense", last),
        f"sub-network: less unstable from step {LATE} than from 0": barrier("sub-network", LATE) < barrier("sub-network", 0),
    }
    for k in (0, LATE):
        under, stable = (
            dense - 100 * found[f"sub-network from step {k}"]["top1_of_the_run"]["mean"],
            barrier("sub-network", k) < 2,
        )
        said = f"{barrier('sub-network', k):.1f} pt, {under:.1f} pt under dense"
        checks[f"sub-network rewound to {k}: stable if and only if it matches dense to {MATCHES:g} pt ({said})"] = stable == (
            under <= MATCHES
        )
    write(
        "instability",
        "early in training a network becomes stable to the data order, and rewinding matches the dense network where the "
        "sub-network is stable",
        {
            "start": START.to_dict(), "sparsity": SPARSITY, "rounds": ROUNDS, "steps_shared": STEPS,
            "points": POINTS, "seeds": SEEDS,
            "stable": "the error rises by less than 2 pt",
            "published": "ResNet-20 on CIFAR-10: dense networks stable from some 2000 steps of 62 000, sub-networks from 500",
        },
        found,
        checks,
        ("The networks are trained for 3 140 steps on 10 000 pictures of 16 × 16: see small_cifar.py.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
