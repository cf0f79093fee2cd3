"""Global, layer-wise and random pruning of a trained ResNet-20, with the same short fine-tuning (Blalock et al. 2020)."""

from __future__ import annotations

import itertools

from common import arguments, checkpoint, finish, mean_std, write

from secateur.lab import Experiment, grid
from secateur.training import Training

COMPRESSIONS = (2, 4, 8, 16, 32)
METHODS = ("global_magnitude", "layer_magnitude", "random")
SEEDS = (0, 1, 2)
EPOCHS, RATE = 0.5, 0.02


def main() -> None:
    options = arguments()
    training = Training(epochs=1, batch_size=128, learning_rate=0.02, weight_decay=1e-4, mixed_precision="bf16")
    start = Experiment(task="cifar10", model="resnet_20", pretrained=checkpoint("resnet20", options.data), training=training)
    outcomes = finish(grid(start, {m: {"epochs": EPOCHS, "learning_rate": RATE} for m in METHODS}, COMPRESSIONS, SEEDS), options)

    found = {(o.experiment.method, o.experiment.compression, o.experiment.seed): o.result for o in outcomes if o.result}
    dense = mean_std(r["test"]["top1"] for (m, _, _), r in found.items() if m is None)
    figures = {"dense_top1": dense, "methods": {}}
    for m in METHODS:
        rows = figures["methods"][m] = {}
        for c in COMPRESSIONS:
            runs = [found[m, float(c), s] for s in SEEDS]
            rows[str(c)] = {
                "top1": mean_std(r["test"]["top1"] for r in runs),
                "top5": mean_std(r["test"]["top5"] for r in runs),
                "top1_before_fine_tuning": mean_std(r["test_before_recovery"]["top1"] for r in runs),
                "compression": mean_std(r["compression"] for r in runs),
                "theoretical_speedup": mean_std(r["speedup"] for r in runs),
                "file_bytes": mean_std(r["file_bytes"] for r in runs),
                "least_layer_density": min(
                    left / total for r in runs for n, total, left in r["layers"] if n.startswith("layer") and "conv" in n
                ),
            }

    def top1(method: str, c: int, key: str = "top1") -> float:
        return figures["methods"][method][str(c)][key]["mean"]

    gaps = [top1("global_magnitude", c) - top1("random", c) for c in COMPRESSIONS]
    write(
        "resnet20-allocation",
        "magnitude beats random at every compression from 4 up and the gap grows; global beats layer-wise (Blalock et al. 2020)",
        {
            "task": "cifar10",
            "model": "resnet_20, trained weights",
            "fine_tuning_epochs": EPOCHS,
            "peak_learning_rate": RATE,
            "seeds": SEEDS,
            "training": training.to_dict(),
            "varied_with_the_seed": "data order, augmentation, the random control's lot",
        },
        figures,
        {
            "magnitude > random at every compression ≥ 4": all(g > 0 for g in gaps[1:]),
            "the gap to random grows from 2 to 16": all(a < b for a, b in itertools.pairwise(gaps[:4])),
            "all within 0.5 pt of each other at 2": max(top1(m, 2) for m in METHODS) - min(top1(m, 2) for m in METHODS) <= 0.005,
            "global > layer-wise before fine-tuning at 4 and 8": all(
                top1("global_magnitude", c, "top1_before_fine_tuning") > top1("layer_magnitude", c, "top1_before_fine_tuning")
                for c in (4, 8)
            ),
            "global ≥ layer-wise after fine-tuning at 4, 8, 16": all(
                top1("global_magnitude", c) >= top1("layer_magnitude", c) for c in (4, 8, 16)
            ),
        },
        notes=(
            "Fine-tuning is half an epoch. After it random pruning is still 15 pt behind at 2×, and the gap to random peaks at "
            "4× and then narrows, because magnitude falls too: the published shape wants a longer fine-tuning.",
            "Before fine-tuning nothing is left to compare from 8× on: without new batch-norm statistics all are near chance.",
        ),
    )


if __name__ == "__main__":
    main()
