"""One vector at a time: a 4096 × 4096 layer and LeNet-300-100, pruned and compiled, against dense onnxruntime and OpenVINO.

python benchmarks/experiments/compile_small.py   # writes benchmarks/results/compile-small.json
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from pathlib import Path

import torch
from common import write
from engines import SETTINGS, against, mask_, merge, threads_of, verdicts
from torch import nn

WORKLOADS = {
    "GEMV 4096 × 4096": (lambda: nn.Linear(4096, 4096), 4096, {0.9: 3.0, 0.95: 6.0}, (0.0, 0.5, 0.7, 0.9, 0.95)),
    "LeNet-300-100": (
        lambda: nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)),
        784,
        {11 / 12: 1.0},
        (0.0, 11 / 12),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0)
    o = parser.parse_args()
    new, checks = {}, {}
    for name, (make, inputs, _, sparsities) in WORKLOADS.items():
        torch.manual_seed(0)
        dense = make().eval()
        ours = {f"{s:.1%}": mask_(copy.deepcopy(dense), s) for s in sparsities}
        with tempfile.TemporaryDirectory() as folder:
            found = against(ours, dense, torch.randn(1, inputs), o.threads, Path(folder), "small", o.seconds, burst=10)
        new[f"{name}, {threads_of(o.threads)}"] = found
    rows = merge("compile-small", new)
    for key, row in rows.items():
        checks |= verdicts(key, row, {f"{s:.1%}": t for s, t in WORKLOADS[key.split(",")[0]][2].items()})
    write("compile-small", "layers on one vector are faster with zeros than dense engines", SETTINGS, rows, checks)


if __name__ == "__main__":
    main()
