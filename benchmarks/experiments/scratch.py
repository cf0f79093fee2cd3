"""Is what a pruned network inherits its weights or its shape? (Liu et al. 2019)"""

from __future__ import annotations

import dataclasses as dc
from typing import Any

from common import arguments, finish, mean_std, write

from secateur.allocation import Uniform
from secateur.lab import Experiment
from secateur.methods import global_magnitude
from secateur.recipe import Recipe
from secateur.recovery import Finetune
from secateur.schedule import OneShot
from secateur.structure import Filters
from secateur.training import Training

SEEDS = (0, 1, 2)
SHORTCUTS = ("conv1*", "layer[23].0.conv2*")  # groups that shortcuts reach; the first layer of every block is left
FILTERS = Recipe(
    structure=Filters(),
    allocation=Uniform(),
    schedule=OneShot(sparsity=0.5),
    recovery=Finetune(epochs=4, learning_rate=0.01),
    exclude=SHORTCUTS,
)
STARTS = {
    "resnet_20, half the filters inside its blocks": Experiment(
        task="small_cifar:load", model="resnet_20",
        training=Training(epochs=10, batch_size=64, learning_rate=0.1, decay="step", weight_decay=1e-4),
        recipe=FILTERS, method="filters",
    ),
    "lenet_300_100, 95 % of the weights": Experiment(
        task="mnist", model="lenet_300_100",
        training=Training(epochs=6, batch_size=128, learning_rate=0.1, decay="step", weight_decay=1e-4),
        recipe=global_magnitude(sparsity=0.95, epochs=3, learning_rate=0.02), method="global_magnitude",
    ),
}  # fmt: skip
NAMES = {None: "fine-tuned", "scratch_e": "scratch_e", "scratch_b": "scratch_b"}


def figures_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "top1": mean_std(r["test"]["top1"] for r in runs),
        "dense_top1": mean_std(r["dense_test"]["top1"] for r in runs),
        "speedup": mean_std(r["speedup"] for r in runs),
        "steps": mean_std(r["history"][-1]["step"] for r in runs),
        "seconds": mean_std(r["seconds"] for r in runs),
    }


def main() -> None:
    options = arguments()
    groups = {
        (start, name): [dc.replace(e, seed=s, control=control) for s in SEEDS]
        for start, e in STARTS.items()
        for control, name in NAMES.items()
    }
    found = {o.experiment.id: o.result for o in finish([e for es in groups.values() for e in es], options)}
    figures: dict[str, Any] = {start: {} for start in STARTS}
    for (start, name), es in groups.items():
        figures[start][name] = figures_of([found[e.id] for e in es])
    checks = {}
    for start, (filters, f) in zip(STARTS, zip((True, False), figures.values(), strict=True), strict=True):
        tuned, e, b = (100 * f[n]["top1"]["mean"] for n in NAMES.values())
        if filters:
            checks[f"{start}: scratch-B within 0.5 pt of fine-tuned ({b:.2f}, {tuned:.2f})"] = abs(b - tuned) <= 0.5
            checks[f"{start}: scratch-B no worse than scratch-E ({e:.2f}) by 0.3 pt"] = b >= e - 0.3
        else:
            checks[f"{start}: fine-tuned 0.5 pt above scratch-E ({tuned:.2f}, {e:.2f})"] = tuned - e >= 0.5
    write(
        "scratch",
        "filters: training the pruned shape from scratch with equal computation matches fine-tuning; single weights: it does not",
        {start: e.to_dict() for start, e in STARTS.items()}
        | {
            "seeds": SEEDS,
            "published": "filters, ResNet-34-A: fine-tuned 72.56, scratch-E 72.77, scratch-B 73.08 %; single weights, "
            "ResNet-50 at 60 %: 76.09, 73.69, 74.90 %",
        },
        figures,
        checks,
        [
            "ResNet-20 is trained on 10 000 pictures of 16 × 16: see small_cifar.py",
            "Dense ResNet-20 is far from trained out after ten epochs, so twice the steps from scratch gain more than four "
            "epochs of fine-tuning: scratch-B is not within 0.5 pt of fine-tuned but above it.",
        ],
    )


if __name__ == "__main__":
    main()
