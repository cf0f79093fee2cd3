"""How long ``secateur report`` takes over 1 000 finished runs, and how big its page is.

The runs are made up, in the form and size of real ones: the six networks of the standard suite with their true parameter
names and sizes, eleven methods and the dense network, five compressions, three seeds, a history of 30 epochs each; the
first layers of LeNet-300-100 are there as files, for the pictures of masks.

python benchmarks/experiments/report_speed.py          # writes benchmarks/results/report-speed.json
"""

from __future__ import annotations

import json
import math
import random
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

from secateur.codec import save
from secateur.core.environment import environment
from secateur.evaluate.energy import MODELLED
from secateur.lab import Experiment, grid
from secateur.lab.figures import check_result
from secateur.lab.store import RunFolder
from secateur.training import Training

SUITE = {
    ("mnist", "lenet_300_100"): (0.982, 266_200), ("mnist", "lenet_5"): (0.991, 2_293_000),
    ("cifar10", "resnet_20"): (0.917, 40_551_040), ("cifar10", "resnet_56"): (0.934, 125_485_696),
    ("cifar10", "vgg_16_bn"): (0.935, 313_463_808), ("shakespeare", "gpt"): (0.55, 10_000_000),
}  # fmt: skip
METHODS = {
    "global_magnitude": 1.0, "layer_magnitude": 1.4, "global_gradient": 1.1, "layer_gradient": 1.5, "lamp": 0.8, "snip": 1.7,
    "synflow": 1.6, "zhu_gupta_2018": 0.9, "set_2018": 1.3, "rigl": 1.0, "random": 4.0,
}  # fmt: skip
EPOCHS = 30


def made_up(e: Experiment, dense: dict[str, Any] | None, rng: random.Random, tensors: dict[str, int]) -> dict[str, Any]:
    """A result that looks like a measured one."""
    top, macs = SUITE[e.task, e.model]
    compression = e.compression or 1.0
    harm = METHODS.get(e.method or "", 0.0) * 0.003 * math.log2(compression) ** 2
    top1 = (dense["test"]["top1"] if dense else top) - harm + rng.gauss(0, 0.002)
    total = sum(tensors.values())
    rate = 1.0 if dense is None else max(0.0, 1 - (1 - 1 / compression) * total / sum(n for n in tensors.values() if n > 999))
    layers = [[n, size, size if size < 1000 else max(1, int(size * rate))] for n, size in tensors.items()]
    left = sum(x[2] for x in layers)
    test = {"loss": 1.5 - top1, "top1": top1, "top5": 1 - (1 - top1) / 8}
    row = {
        "stage": "training",
        "rate": 0.01,
        "train_loss": 0.1,
        "validation_loss": 0.2,
        "validation_top1": top1,
        "validation_top5": 0.99,
    }
    memory = {"peak_bytes": rng.randrange(500_000_000, 900_000_000), "how": "process, resident set"}
    joules = 14.6e-12 * macs + 640e-12 * total
    return {
        "id": e.id, "experiment": e.to_dict(), "kind": "language" if e.model == "gpt" else "classification", "test": test,
        "validation": test, "test_before_recovery": {**test, "top1": max(0.1, top1 - 5 * harm)} if dense else None,
        "dense_id": dense and dense["id"], "dense_test": dense and dense["test"], "dense_validation": dense and dense["test"],
        "parameters": total, "nonzero": left, "compression": total / left, "macs": macs,
        "effective_macs": int(macs * left / total),
        "speedup": total / left, "macs_by_name": {n: macs // len(tensors) for n in tensors}, "values": 200_000,
        "energy": {"how": MODELLED, "inference": joules * left / total, "dense_inference": joules, "training": 9e3 * joules},
        "measured_energy": None, "dense_bytes": 4 * total, "file_bytes": 4 * left + total // 8 + 900,
        "latency_ms": 1.3 + rng.random() / 10, "latency_threads": 1, "dense_latency_ms": 1.3,
        "layers": layers, "early_stop": None,
        "seconds": 60 + 60 * rng.random(), "cost": {"steps": 12_000, "joules": None, "how": None, "memory": memory},
        "history": [{"step": 400 * (i + 1), **row} for i in range(EPOCHS)], "environment": ENVIRONMENT,
    }  # fmt: skip


ENVIRONMENT = environment()


def fill(root: Path) -> int:
    """Write the runs; how many there are."""
    rng, training, count = random.Random(0), Training(epochs=float(EPOCHS)), 0
    for task, model in SUITE:
        start = Experiment(task=task, model=model, training=training)
        torch.manual_seed(0)
        net = start.build_model()
        tensors = {n: p.numel() for n, p in net.named_parameters()}
        dense: dict[int, dict[str, Any]] = {}
        for e in grid(start, {m: {} for m in METHODS}, (2, 4, 8, 16, 32), range(3)):
            if e.seed not in dense:
                dense[e.seed] = made_up(e.dense(), None, rng, tensors)
                _put(root, e.dense(), dense[e.seed])
                count += 1
            _put(root, e, made_up(e, dense[e.seed], rng, tensors))
            count += 1
            if model == "lenet_300_100" and e.compression == 8 and e.seed == 0:
                save(net, root / e.id / "model.safetensors")
    return count


def _put(root: Path, e: Experiment, result: dict[str, Any]) -> None:
    complaint = check_result(json.loads(json.dumps(result)))
    if complaint is not None:
        raise SystemExit(f"the made-up result is none: {complaint}")
    folder = RunFolder(root, e.id)
    folder.write_text("experiment.yaml", e.to_yaml())
    folder.write_json("result", result)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        root, out = Path(place) / "runs", Path(place) / "report"
        count, took, computed = fill(root), [], []
        for _ in range(3):
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "secateur.cli", "report", str(root), "--out", str(out)], check=True, stdout=-3)
            took.append(time.perf_counter() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            computed.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        page = (out / "report.html").stat().st_size
        drawn = len(list((out / "figures").glob("*.svg")))
        figures = {"seconds": took, "processor_seconds": computed, "html_bytes": page, "figures": drawn, "runs": count}
    write(
        "report-speed",
        "secateur report over 1 000 finished runs takes at most 10 s, start included; the page has at most 5 MB",
        {"networks": len(SUITE), "methods": len(METHODS), "compressions": 5, "seeds": 3, "epochs of history": EPOCHS},
        figures,
        {
            "at least 1 000 runs": count >= 1000,
            "at most 10 s": statistics.median(took) <= 10,
            "at most 5 MB": page <= 5_000_000,
        },
        ["By the clock, median of three, nothing else at work. The runs' figures are made up."],
    )


if __name__ == "__main__":
    main()
