"""ResNet-50 and MobileNetV1, pruned by magnitude and compiled, against dense onnxruntime and OpenVINO.

python benchmarks/experiments/compile_images.py resnet50 --batch 1 --threads 1   # adds a row to compile-resnet50.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from common import write
from engines import SETTINGS, against, mask_, merge, settled, threads_of, verdicts

from secateur.training.models import ImageNetResNet, MobileNetV1

MODELS = {"resnet50": lambda: ImageNetResNet(50), "mobilenet": MobileNetV1}
TARGETS = {("resnet50", 1): (3.5, 5.5), ("resnet50", 16): (4.0, 6.0), ("mobilenet", 1): (1.8, 2.3)}
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sparsities", type=float, nargs="+", default=SPARSITIES)
    o = parser.parse_args()
    torch.manual_seed(0)
    dense = settled(MODELS[o.model](), (4, 3, 64, 64))
    ours = {}
    for s in o.sparsities:
        ours[f"{s:.0%}"] = MODELS[o.model]()
        ours[f"{s:.0%}"].load_state_dict(dense.state_dict())
        mask_(ours[f"{s:.0%}"], s).eval()
    x = torch.randn(o.batch, 3, 224, 224)
    with tempfile.TemporaryDirectory() as folder:
        found = against(ours, dense, x, o.threads, Path(folder), o.model, o.seconds, burst=4 if o.batch == 1 else 2)
    name = f"compile-{o.model}"
    rows = merge(name, {f"batch {o.batch}, {threads_of(o.threads)}": found})
    checks = {}
    for key, row in rows.items():
        batch = int(key.split(",")[0].split()[1])
        targets = dict(zip(("90%", "95%"), TARGETS.get((o.model, batch), ()), strict=False))
        checks |= verdicts(key, row, targets)
    write(name, f"{o.model} with zeros is faster than dense engines", {**SETTINGS, "input": "3 × 224 × 224"}, rows, checks)


if __name__ == "__main__":
    main()
