"""What a sweep costs beside its training: asking again, handing out short runs, and two workers against one.

    python benchmarks/experiments/sweep_speed.py       # writes benchmarks/results/sweep-speed.json

Run it on a quiet machine of two cores: about 15 minutes. ``--part again --keep FOLDER`` does one part of the three, in at most
ten; without ``--part`` what is there already is not measured again. ``--small`` tries it out in minutes, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import write

from secateur.lab import Experiment, Plan, Sweep, import_source, make_plan, run, run_all
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


TIMED = """
import time

import secateur.lab.one as one

plain = one.run


def run(experiment, *rest, **options):
    began = time.perf_counter()
    try:
        return plain(experiment, *rest, **options)
    finally:
        with open(LOG, "a") as log:
            print(int(experiment.recipe is None), time.perf_counter() - began, file=log)


one.run = run
"""


def by_workers(plan: Plan, root: Path, data: Path | None, workers: int) -> dict[str, float]:
    """Seconds of the sweep by processes, their start included; and of its runs alone, timed where they run."""
    root.mkdir()
    log, file = root / "log", root / "timed_runs.py"
    file.write_text(TIMED.replace("LOG", repr(str(log))))
    timing = (import_source(file),)
    began = time.perf_counter()
    outcomes = run_all(plan.experiments, root, data=data, crew=Processes(workers, root, data, timing))
    seconds = time.perf_counter() - began
    assert not any(o.error for o in outcomes)
    runs = [(dense == "1", float(took)) for dense, took in map(str.split, log.read_text().splitlines())]
    assert len(runs) == len(plan.experiments)
    (first, others), dense = (runs[:workers], runs[workers:]), [took for is_dense, took in runs[workers:] if is_dense]
    assert all(is_dense for is_dense, _ in first)  # what a process imports and reads is not theirs
    bare = sum(took for _, took in others) + workers * statistics.fmean(dense)
    training = sum(o.result["seconds"] for o in outcomes if o.result is not None)
    return {"seconds": seconds, "of_runs": bare, "of_training": training, "overhead": workers * seconds / bare - 1}


def measured(part: str, root: Path, small: bool, data: Path | None) -> dict[str, Any]:
    """One part, and how much of a core it had: below 1 a worker the machine was not quiet."""
    if part == "again":
        return asked_again(root, 2 if small else 20, data)
    plan = make_plan(lenet(4 if small else 13, 0.1 if small else 0.5, [] if small else ["layer_magnitude"]), root, data)
    found = by_workers(plan, root / "runs", data, int(part))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"runs": len(plan.experiments), **found, "seconds_of_processor": sum(u.ru_utime + u.ru_stime for u in used)}


PARTS = ("again", "1", "2")


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
        again, one, two = (json.loads(done[p].read_text()) for p in PARTS)
    tell(again, one, two, options.small)


def tell(again: dict[str, Any], one: dict[str, Any], two: dict[str, Any], small: bool) -> None:
    """The result file, or what would be in it."""
    gain = one["seconds"] / two["seconds"]
    figures = {"asked_again": again, "one_worker": one, "two_workers": {**two, "gain": gain}}
    checks = {
        "asked again about 1000 finished runs: ≤ 3 s": again["seconds"] <= 3,
        "handing out 200 runs of LeNet-300-100: ≤ 2 % over the runs themselves": one["overhead"] <= 0.02,
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
            "of_runs: the runs themselves, timed where they run, a process's first as long as the other dense ones. seconds: "
            "the sweep, which starts its processes, imports, reads the data and hands out runs. overhead: processes · seconds / "
            "of_runs − 1.",
            "of_training is what the runs took without evaluating, timing and saving the networks. The first time, an "
            "answer is found out from the files of all runs; the next times no file has changed since, and torch is not loaded.",
        ),
    )


if __name__ == "__main__":
    main()
