"""What the experiments share: where data and runs are, and the form of a result file."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from secateur.core.environment import environment
from secateur.lab import Experiment, Outcome, run_all
from secateur.training import Task
from secateur.training.data import Split, find

RESULTS = Path(__file__).parents[1] / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=None, help="where to look for data sets first")
    parser.add_argument("--out", type=Path, default=Path("runs/papers"), help="folder of the runs")
    parser.add_argument("--workers", type=int, default=None)
    return parser.parse_args()


def checkpoint(name: str, data: Path | None) -> str:
    """A trained CIFAR-10 ResNet that lies beside the data sets."""
    file = f"resnet-cifar10/{name}.safetensors"
    return str(find("checkpoints", {"safetensors": (file,)}, data)[1] / file)


def finish(experiments: Sequence[Experiment], options: argparse.Namespace) -> list[Outcome]:
    """Run all, with a bar; stop at the first failure."""
    with Progress() as progress:
        bar = progress.add_task("runs", total=len({e.id for e in experiments} | {e.dense().id for e in experiments}))

        def told(o: Outcome) -> None:
            progress.advance(bar)
            if o.error:
                progress.console.print(o.experiment.method, o.error)

        outcomes = run_all(experiments, options.out, data=options.data, workers=options.workers, told=told)
    failed = [o for o in outcomes if o.result is None]
    if failed:
        raise SystemExit(f"{len(failed)} runs failed; mend that and run again")
    return outcomes


def side_by_side(job: Callable[..., Any], settings: Sequence[tuple[Any, ...]], workers: int | None) -> list[Any]:
    """A function of each setting, by processes of one thread each; a function at the top of its module."""
    spawn = multiprocessing.get_context("spawn")
    workers = min(workers or os.cpu_count() or 1, len(settings))
    with ProcessPoolExecutor(workers, spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return [f.result() for f in [pool.submit(job, *s) for s in settings]]


def some(task: Task, count: int, seed: int, *, augmented: bool = False) -> list[Any]:
    """Batches of training pictures, as they are or varied as in training."""
    train, draw = task.data.train, torch.Generator().manual_seed(seed)
    inputs, targets = train[torch.randperm(len(train), generator=draw)[:count]]
    if augmented and task.data.augment is not None:
        inputs = task.data.augment(inputs, draw)
    return list(task.batches(Split(inputs, targets), 100))


def mean_std(values: Iterable[float]) -> dict[str, float]:
    known = list(values)
    return {"mean": statistics.fmean(known), "std": statistics.stdev(known) if len(known) > 1 else 0.0, "n": len(known)}


def write(
    name: str,
    claim: str,
    settings: dict[str, Any],
    figures: dict[str, Any],
    checks: dict[str, bool],
    notes: Sequence[str] = (),
) -> None:
    """One result file: the claim, what was run, the figures, what holds, why not, and where it was measured."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    value = {
        "claim": claim,
        "holds": checks,
        "notes": list(notes),
        "settings": settings,
        "figures": figures,
        "environment": environment(),
    }
    path.write_text(json.dumps(value, indent=1) + "\n")
    for what, holds in checks.items():
        print("holds" if holds else "FAILS", what)
    print(path)
