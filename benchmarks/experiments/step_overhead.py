"""What ``pruner.step()`` costs in the training of a ResNet-20: its share of a training step, measured in turns.

python benchmarks/experiments/step_overhead.py          # writes benchmarks/results/step-overhead.json
"""

from __future__ import annotations

import statistics
import time

import torch
from common import write

import secateur as sc
from secateur.schedule import OneShot
from secateur.training.models import build_model

STEPS, BATCH = 40, 128


def main() -> None:
    torch.manual_seed(0)
    model = build_model("resnet_20")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    inputs, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    pruner = sc.Pruner(model, sc.Recipe(schedule=OneShot(sparsity=0.9)), optimizer=optimizer)
    training, pruning = [], []
    for step in range(STEPS + 3):
        start = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        middle = time.perf_counter()
        pruner.step()
        end = time.perf_counter()
        if step >= 3:  # the first steps warm up, and prune
            training.append(middle - start)
            pruning.append(end - middle)
    share = statistics.median(pruning) / statistics.median(training)
    figures = {
        "training_step_ms": 1e3 * statistics.median(training),
        "pruner_step_ms": 1e3 * statistics.median(pruning),
        "overhead": share,
    }
    settings = {"model": "resnet_20", "batch": BATCH, "steps": STEPS, "sparsity": 0.9}
    write(
        "step-overhead",
        "pruner.step() costs at most 2 % of a ResNet-20 training step",
        settings,
        figures,
        {"pruner.step() takes at most 2 % of a training step": share <= 0.02},
    )


if __name__ == "__main__":
    main()
