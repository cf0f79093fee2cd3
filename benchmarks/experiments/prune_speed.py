"""Global magnitude pruning at 90 %: ``prune_`` against ``torch.nn.utils.prune.global_unstructured``, time and memory.

Each way runs in a process of its own, in turns, on the same weights; memory is the growth of the process's peak over
what the model itself takes.

    python benchmarks/experiments/prune_speed.py            # writes benchmarks/results/prune-speed.json
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

SIZES = {  # name: (layers, width): layers of width × width, as in a transformer's feed-forward stack
    "25M": (24, 1024),
    "350M": (84, 2048),
}
REPEATS = {"25M": 5, "350M": 3}


def build(layers: int, width: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(m for _ in range(layers) for m in (nn.Linear(width, width, bias=False), nn.ReLU())), nn.Linear(width, 10)
    )


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one(way: str, size: str) -> dict[str, float]:
    """Prune once in this process; the libraries are imported and warmed on a small model first."""
    import torch.nn.utils.prune as peer

    import secateur as sc
    from secateur.schedule import OneShot

    def ours(model: nn.Module) -> None:
        sc.prune_(model, sc.Recipe(schedule=OneShot(sparsity=0.9)))

    def theirs(model: nn.Module) -> None:
        layers = [m for m in model if isinstance(m, nn.Linear)][:-1]  # the classifier stays dense there too
        peer.global_unstructured([(m, "weight") for m in layers], pruning_method=peer.L1Unstructured, amount=0.9)

    run = ours if way == "secateur" else theirs
    run(build(2, 64))
    model = build(*SIZES[size])
    weights = [m.weight for m in model if isinstance(m, nn.Linear)][:-1]
    total = sum(w.numel() for w in weights)
    before = peak_bytes()
    start = time.perf_counter()
    run(model)
    seconds = time.perf_counter() - start
    kept = sum(int((m.weight != 0).sum()) for m in [m for m in model if isinstance(m, nn.Linear)][:-1])
    return {
        "seconds": seconds,
        "extra_bytes": peak_bytes() - before,
        "extra_bytes_per_weight": (peak_bytes() - before) / total,
        "kept": kept,
        "exact": kept == total - round(0.9 * total),
        "prunable": total,
    }


def main() -> None:
    from common import write

    found: dict[str, dict[str, dict[str, float]]] = {}
    for size, repeats in REPEATS.items():
        runs: dict[str, list[dict[str, float]]] = {"secateur": [], "torch": []}
        for _ in range(repeats):
            for way in runs:  # in turns, so that whatever else the machine does meets both alike
                done = subprocess.run([sys.executable, __file__, way, size], capture_output=True, text=True, check=True)
                runs[way].append(json.loads(done.stdout))
        medians = ("seconds", "extra_bytes", "extra_bytes_per_weight")
        found[size] = {
            way: {**rows[0], **{k: statistics.median(r[k] for r in rows) for k in medians}} for way, rows in runs.items()
        }
        ours, theirs = found[size]["secateur"], found[size]["torch"]
        found[size]["ratio"] = {
            "times_faster": theirs["seconds"] / ours["seconds"],
            "times_less_extra_memory": theirs["extra_bytes"] / ours["extra_bytes"],
        }
        print(size, json.dumps(found[size], indent=1))
    write(
        "prune-speed",
        "global magnitude pruning at 90 % is ≥ 5 times as fast as torch.nn.utils.prune, in ≤ half the extra memory, exactly",
        {"repeats": REPEATS, "layers_and_width": SIZES, "memory": "growth of the process's peak while pruning"},
        found,
        {
            "≥ 5 times as fast at both sizes": all(f["ratio"]["times_faster"] >= 5 for f in found.values()),
            "≤ half the extra memory at both sizes": all(f["ratio"]["times_less_extra_memory"] >= 2 for f in found.values()),
            "exact counts": all(f["secateur"]["exact"] for f in found.values()),
        },
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(one(*sys.argv[1:])))
    else:
        main()
