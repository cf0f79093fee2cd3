"""Single layers of ResNet-50 and BERT-base: unstructured zeros, 8×1 blocks and none, against the best dense engine.

Ours are the layer's kernel alone, on values that lie as they do inside a network; the engines' are whole calls.

    python benchmarks/experiments/compile_layers.py   # writes benchmarks/results/compile-layers.json
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import write
from engines import SETTINGS, faster, mask_, peers, roof, turns, under_the_roof
from torch import nn

import secateur as sc
from secateur.runtime.tune import alone

LAYERS = {  # outputs, inputs, kernel, pixels in a row or tokens
    "1×1 64→256 @56": (256, 64, 1, 56), "1×1 256→64 @56": (64, 256, 1, 56), "3×3 64→64 @56": (64, 64, 3, 56),
    "1×1 128→512 @28": (512, 128, 1, 28), "3×3 128→128 @28": (128, 128, 3, 28), "1×1 256→1024 @14": (1024, 256, 1, 14),
    "3×3 256→256 @14": (256, 256, 3, 14), "1×1 512→2048 @7": (2048, 512, 1, 7), "1×1 2048→512 @7": (512, 2048, 1, 7),
    "3×3 512→512 @7": (512, 512, 3, 7), "768→3072, 128 tokens": (3072, 768, 0, 128), "3072→768, 128 tokens": (768, 3072, 0, 128),
}  # fmt: skip
_HOW = "times_faster_by_processor_time"
KINDS = {"dense": (0.0, 1), "50%": (0.5, 1), "70%": (0.7, 1), "90%": (0.9, 1), "95%": (0.95, 1), "90%, 8×1 blocks": (0.9, 8)}


def layer(outputs: int, inputs: int, kernel: int, size: int) -> tuple[nn.Module, torch.Tensor]:
    if kernel:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), torch.randn(1, inputs, size, size)
    return nn.Linear(inputs, outputs), torch.randn(1, size, inputs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0, help="of timing for each layer")
    o = parser.parse_args()
    rows: dict[str, Any] = {}
    torch.set_num_threads(1)
    top = roof()
    for name, sizes in LAYERS.items():
        torch.manual_seed(0)
        dense, x = layer(*sizes)
        with tempfile.TemporaryDirectory() as folder:
            calls, work = peers(dense, x, 1, Path(folder), "layer"), {}
        for kind, (sparsity, block) in KINDS.items():
            # the first convolution of a network stays dense: here it is no network's first
            masked = mask_(nn.Sequential(nn.Conv2d(1, 1, 1), copy.deepcopy(dense)), sparsity, block)[1]
            fast = sc.compile(masked, x, threads=1, seconds=5)
            calls[kind] = alone(fast, x)
            assert fast.report is not None
            y = dense(x)
            pixels = y.numel() / len(dense.weight)
            moved = fast.report.nbytes + 4 * (x.numel() + y.numel())
            work[kind] = 2 * int(masked.weight.count_nonzero()) * pixels, moved
        found = turns(calls, o.seconds)
        place = {k: under_the_roof(top, *work[k], found[k]["processor_median"]) for k in KINDS}
        rows[name] = {"ms": found, **faster(found, list(KINDS), 1), "roofline": place}
        print(name, {k: round(v, 2) for k, v in rows[name][_HOW].items()}, flush=True)
    mean = {k: statistics.geometric_mean(r[_HOW][k] for r in rows.values()) for k in KINDS}
    checks = {
        "8×1 blocks at 90 %: ≥ 6× the best dense engine, geometric mean": mean["90%, 8×1 blocks"] >= 6,
        "no layer slower than 0.95× at any sparsity": all(v >= 0.95 for r in rows.values() for v in r[_HOW].values()),
    }
    write(
        "compile-layers",
        "layers with zeros are faster than dense ones",
        SETTINGS,
        {"roof": top, "layers": rows, "geometric_mean": mean},
        checks,
    )


if __name__ == "__main__":
    main()
