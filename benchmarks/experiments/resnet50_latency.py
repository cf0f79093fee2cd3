"""ResNet-50 at half width, cut out of the dense one: how much of the multiply-adds saved onnxruntime turns into time.

Half of the units of every coupled group go, so that every convolution has half its inputs and half its outputs. Both models
are exported to ONNX and run in turns, warm, medians of all rounds.

    python benchmarks/experiments/resnet50_latency.py       # writes benchmarks/results/resnet50-latency.json
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import write
from torch import nn

import secateur as sc
from secateur.core.timing import compare_latency
from secateur.graph.groups import find_groups
from secateur.training.models import ImageNetResNet

SIZE, BATCHES, THREADS = 224, (1, 8), (1, 2)


def session(model: nn.Module, batch: int, threads: int, folder: Path) -> Any:
    """An onnxruntime session of a model."""
    import onnxruntime

    path = folder / f"{id(model)}-{batch}.onnx"
    if not path.exists():
        torch.onnx.export(model.eval(), (torch.randn(batch, 3, SIZE, SIZE),), path, dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    import onnxruntime

    torch.manual_seed(0)
    dense, small, x = ImageNetResNet(50), ImageNetResNet(50), torch.randn(1, 3, SIZE, SIZE)
    small.load_state_dict(dense.state_dict())
    plan = {g.name: list(range(g.units // 2)) for g in find_groups(small, x).prunable}
    shrunk = sc.shrink_(small, x, plan)
    print(shrunk)
    fewer = shrunk.macs[0] / shrunk.macs[1]
    rows, checks = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for batch in BATCHES:
            picture = torch.randn(batch, 3, SIZE, SIZE).numpy()
            for threads in THREADS:
                runs = {n: session(m, batch, threads, Path(folder)) for n, m in (("dense", dense), ("half width", small))}
                calls = {n: partial(s.run, None, {s.get_inputs()[0].name: picture}) for n, s in runs.items()}
                found = compare_latency(calls, threads=threads, warmup=5, seconds=15.0, min_repeats=30)
                faster = found.speedups["half width"]
                name = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
                saved = (1 - 1 / faster) / (1 - 1 / fewer)
                rows[name] = {
                    "dense_ms": found.latencies["dense"].median_ms,
                    "half_width_ms": found.latencies["half width"].median_ms,
                    "speedup": faster,
                    "share_of_the_saved_multiply_adds_saved_in_time": saved,
                    "speedup_over_multiply_add_ratio": faster / fewer,
                }
                checks[f"{name}: of the share of multiply-adds saved, ≥ 90 % is saved in time"] = saved >= 0.9
                checks[f"{name}: times faster ≥ 90 % of times fewer multiply-adds"] = faster >= 0.9 * fewer
    write(
        "resnet50-latency",
        "shrunken networks are faster in an ordinary engine: ≥ 90 % of the multiply-add reduction is realised at half width",
        {"model": "ResNet-50, 224 × 224, random weights", "plan": "half of the units of every coupled group",
         "engine": f"onnxruntime {onnxruntime.__version__}, CPU"},
        {"multiply_adds": shrunk.macs, "fewer": fewer, "parameters": shrunk.params, "equal_to": shrunk.error, "latency": rows},
        checks,
    )  # fmt: skip


if __name__ == "__main__":
    main()
