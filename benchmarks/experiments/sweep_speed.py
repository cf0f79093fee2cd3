"""What a sweep costs beside its training: asking again, handing out short runs, and two workers against one.

    python benchmarks/experiments/sweep_speed.py       # writes benchmarks/results/sweep-speed.json

Run it on a quiet machine of two cores: about 20 minutes. ``--part again --keep FOLDER`` does one part of the four, in at most ten
minutes; without ``--part`` what is there already is not measured again. ``--small`` tries it out in a minute, and writes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses as dc
import gc
import json
import resource
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
    """Seconds of ``secateur sweep`` where all is finished, from the shell and back, imports included.

    The first answer is found out from the files of all runs; the next ones only look whether these have changed since.
    """
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
    first, *took = [timed([*command, *(["--data", str(data)] if data else [])], "nothing to do") for _ in range(6)]
    torch_alone = [timed([sys.executable, "-c", "import torch"], "") for _ in range(5)]
    return {
        "runs": len(plan.experiments), "seconds": statistics.median(took), "each": took, "seconds_the_first_time": first,
        "seconds_of_importing_torch": statistics.median(torch_alone),
    }  # fmt: skip


def timed(command: list[str], says: str) -> float:
    began = time.perf_counter()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert says in said, said
    return time.perf_counter() - began


def in_turn(plan: Plan, root: Path, data: Path | None) -> dict[str, float]:
    """Seconds of the bare runs, one after the other in this process, once all is imported and the data is read."""
    torch.set_num_threads(1)
    task = plan.experiments[0].load_task(data)
    run(dc.replace(plan.experiments[1], seed=99), root / "before", data=data, task=lambda: task)  # and a dense network
    gc.collect()
    gc.freeze()  # as the workers do
    began = time.perf_counter()
    results = [run(e, root, data=data, task=lambda: task) for e in plan.experiments]
    return {"seconds": time.perf_counter() - began, "of_training": sum(r["seconds"] for r in results)}


def by_workers(plan: Plan, root: Path, data: Path | None, workers: int) -> dict[str, float]:
    """Seconds of the same runs by processes, their start included."""
    began = time.perf_counter()
    outcomes = run_all(plan.experiments, root, data=data, crew=Processes(workers, root, data))
    assert not any(o.error for o in outcomes)
    return {"seconds": time.perf_counter() - began}


def measured(part: str, root: Path, small: bool, data: Path | None) -> dict[str, Any]:
    """One part, and how much of a core it had: below 1 a worker the machine was not quiet."""
    if part == "again":
        return asked_again(root, 2 if small else 20, data)
    plan = make_plan(lenet(1 if small else 13, 0.1 if small else 0.5, ["layer_magnitude"]), root, data)
    found = in_turn(plan, root, data) if part == "turn" else by_workers(plan, root, data, int(part))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"runs": len(plan.experiments), **found, "seconds_of_processor": sum(u.ru_utime + u.ru_stime for u in used)}


PARTS = ("again", "turn", "1", "2")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=None, help="where to look for data sets first")
    parser.add_argument("--small", action="store_true", help="try it out")
    parser.add_argument("--part", choices=PARTS, help="this one alone")
    parser.add_argument("--keep", type=Path, help="folder where parts are kept, and found again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-speed-") as folder:
        keep = options.keep or Path(folder)
        keep.mkdir(parents=True, exist_ok=True)
        done = {part: keep / f"{part}.json" for part in PARTS}
        if options.part:
            found = measured(options.part, Path(folder) / options.part, options.small, options.data)
            done[options.part].write_text(json.dumps(found, indent=1))
            return
        for part in (p for p in PARTS if not done[p].exists()):  # a process each: what one has imported costs no other
            more = [*(["--small"] if options.small else []), *(["--data", str(options.data)] if options.data else [])]
            subprocess.run([sys.executable, __file__, "--part", part, "--keep", str(keep), *more], check=True)
        again, turn, one, two = (json.loads(done[p].read_text()) for p in PARTS)
    tell(again, turn, one, two, options.small)


def tell(again: dict[str, Any], turn: dict[str, Any], one: dict[str, Any], two: dict[str, Any], small: bool) -> None:
    """The result file, or what would be in it."""
    overhead, gain = one["seconds"] / turn["seconds"] - 1, one["seconds"] / two["seconds"]
    figures = {
        "asked_again": again,
        "short_runs": {
            "runs": turn["runs"], "seconds_in_turn": turn["seconds"], "seconds_one_worker": one["seconds"],
            "seconds_two_workers": two["seconds"], "seconds_of_training": turn["of_training"], "overhead": overhead,
            "two_over_one": gain,
        },
        "seconds_of_processor": {n: x["seconds_of_processor"] for n, x in (("in turn", turn), ("one worker", one), ("two", two))},
    }  # fmt: skip
    checks = {
        "asked again about 1000 finished runs: ≤ 3 s": again["seconds"] <= 3,
        "handing out 200 runs of LeNet-300-100: ≤ 2 % over the same runs in turn": overhead <= 0.02,
        "two workers: ≥ 1.8 × one": gain >= 1.8,
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
            "seconds_of_training is what the runs took without evaluating, timing and saving the networks. The first time, an "
            "answer is found out from the files of all runs; the next times no file has changed since, and torch is not loaded.",
        ),
    )


if __name__ == "__main__":
    main()
