"""What a sweep costs beside its training: asking again, handing out short runs, and two workers against one.

    python benchmarks/experiments/sweep_speed.py       # writes benchmarks/results/sweep-speed.json

Run it on a quiet machine of two cores. ``--small`` tries it out in a minute, and writes nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import write

from secateur.lab import Experiment, Plan, Sweep, make_plan, run, run_all
from secateur.lab.crew import Processes


def lenet(seeds: int, epochs: float, methods: list[Any]) -> Sweep:
    """LeNet-300-100: many short runs."""
    network = {
        "task": "mnist", "model": "lenet_300_100",
        "training": {"epochs": epochs, "batch_size": 128}, "finetune": {"epochs": epochs, "learning_rate": 0.02},
    }  # fmt: skip
    return Sweep(networks=[network], methods=methods, seeds=list(range(seeds)), controls=["dense", "random", "magnitude"])


def asked_again(root: Path, seeds: int, data: Path | None) -> dict[str, Any]:
    """Seconds of ``secateur sweep`` where all is finished, from the shell and back, imports included."""
    sweep = lenet(
        seeds, 1.0, ["global_gradient", "layer_magnitude", "layer_gradient", "lamp", "obd", "movement", "snip", "grasp"]
    )
    file, runs = root / "sweep.yaml", root / "runs"
    runs.mkdir(parents=True)
    file.write_text(sweep.to_yaml())
    plan = make_plan(sweep, runs, data)
    settings = {"epochs": 0.05, "batch_size": 128}
    template = run(Experiment.from_dict({"task": "mnist", "model": "lenet_300_100", "training": settings}), root, data=data)
    for e in plan.experiments:
        (runs / e.id).mkdir()
        finished = {**template, "version": 1, "id": e.id, "experiment": e.to_dict()}
        (runs / e.id / "result.json").write_text(json.dumps(finished, indent=1))
    (runs / "report-sweep").mkdir()
    (runs / "report-sweep" / "report.html").touch()
    command = [sys.executable, "-m", "secateur.cli", "sweep", str(file), "--out", str(runs)]
    took = [timed([*command, *(["--data", str(data)] if data else [])], "nothing to do") for _ in range(5)]
    torch_alone = [timed([sys.executable, "-c", "import torch"], "") for _ in range(5)]
    return {
        "runs": len(plan.experiments), "seconds": statistics.median(took), "each": took,
        "seconds_of_importing_torch": statistics.median(torch_alone),
    }  # fmt: skip


def timed(command: list[str], says: str) -> float:
    began = time.perf_counter()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert says in said, said
    return time.perf_counter() - began


def in_turn(plan: Plan, root: Path, data: Path | None) -> float:
    """Seconds of the bare runs, one after the other in this process, once all is imported and the data is read."""
    torch.set_num_threads(1)
    task = plan.experiments[0].load_task(data)
    began = time.perf_counter()
    for e in plan.experiments:
        run(e, root, data=data, task=lambda: task)
        if not gc.get_freeze_count():  # as the workers do
            gc.collect()
            gc.freeze()
    return time.perf_counter() - began


def by_workers(plan: Plan, root: Path, data: Path | None, workers: int) -> float:
    """Seconds of the same runs by processes, their start included."""
    began = time.perf_counter()
    outcomes = run_all(plan.experiments, root, data=data, crew=Processes(workers, root, data))
    assert not any(o.error for o in outcomes)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=None, help="where to look for data sets first")
    parser.add_argument("--small", action="store_true", help="try it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-speed-") as folder:
        root, small = Path(folder), options.small
        again = asked_again(root / "again", 2 if small else 20, options.data)
        sweep = lenet(1 if small else 13, 0.1 if small else 0.5, ["layer_magnitude"])
        plan = make_plan(sweep, root, options.data)
        turn = in_turn(plan, root / "turn", options.data)
        one, two = (by_workers(plan, root / str(n), options.data, n) for n in (1, 2))
        results = [json.loads(p.read_text()) for p in (root / "turn").glob("*/result.json")]
    figures = {
        "asked_again": again,
        "short_runs": {
            "runs": len(plan.experiments), "seconds_in_turn": turn, "seconds_one_worker": one, "seconds_two_workers": two,
            "seconds_of_training": sum(r["seconds"] for r in results), "overhead": one / turn - 1, "two_over_one": one / two,
        },
    }  # fmt: skip
    checks = {
        "asked again about 1000 finished runs: ≤ 3 s": again["seconds"] <= 3,
        "handing out 200 runs of LeNet-300-100: ≤ 2 % over the same runs in turn": one / turn <= 1.02,
        "two workers: ≥ 1.8 × one": one / two >= 1.8,
    }
    if small:
        print(json.dumps([figures, checks], indent=1))
        return
    write(
        "sweep-speed",
        "a sweep costs little beside its training: asked again it answers in seconds, and two cores do nearly twice as much",
        {"task": "mnist", "model": "lenet_300_100", "epochs": 0.5, "batch_size": 128, "seeds": 13},
        figures,
        checks,
        (
            "In turn: the same runs one after the other in a process that has imported everything and read the data. One worker: "
            "the sweep with one process, its start and its reading of the data included.",
            "seconds_of_training is what the runs took without evaluating, timing and saving the networks.",
        ),
    )


if __name__ == "__main__":
    main()
