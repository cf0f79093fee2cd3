"""RigL, SET and a random mask that stays for ResNet-20 on CIFAR-10 (Evci et al. 2020); minutes on a GPU.

python benchmarks/experiments/dynamic_sparse_conv.py       # writes benchmarks/results/dynamic-sparse-conv.json
"""

from __future__ import annotations

from typing import Any

from common import arguments, finish, mean_std, write
from dynamic_sparse import recipe

from secateur.lab import Experiment
from secateur.training import Task, Training
from secateur.training.data import load_data

SEEDS = (0, 1, 2)
SPARSITY = 0.9
ARMS = ("dense", "rigl", "set", "static")
TRAINING = Training(epochs=12, batch_size=128, learning_rate=0.1, weight_decay=1e-4, warmup=0.05)


def main() -> None:
    options = arguments()
    steps = TRAINING.steps(len(Task(load_data("cifar10", options.data)).data.train))

    def experiment(arm: str, seed: int) -> Experiment:
        start = Experiment(task="cifar10", model="resnet_20", training=TRAINING, seed=seed)
        if arm == "dense":
            return start
        pruned = {"recipe": recipe(arm, SPARSITY, seed, steps).to_dict(), "method": arm, "start": "initial"}
        return Experiment.from_dict({**start.to_dict(), **pruned})

    made = {a: [experiment(a, s) for s in SEEDS] for a in ARMS}
    results = {o.experiment.id: o.result for o in finish([e for es in made.values() for e in es], options)}

    def figures_of(arm: str) -> dict[str, Any]:
        runs = [r for e in made[arm] if (r := results[e.id]) is not None]
        return {
            "top1": mean_std(r["test"]["top1"] for r in runs),
            "compression": mean_std(r["compression"] for r in runs),
            "theoretical_speedup": mean_std(r["speedup"] for r in runs),
            "seconds": mean_std(r["seconds"] for r in runs),
        }

    found = {a: figures_of(a) for a in ARMS}
    top1 = {a: 100 * found[a]["top1"]["mean"] for a in ARMS}
    write(
        "dynamic-sparse-conv",
        "of convolutional networks that are sparse from the first step RigL's is better than SET's, and SET's than one whose "
        "mask stays",
        {"task": "cifar10", "model": "resnet_20, output layer dense", "sparsity": SPARSITY, "seeds": SEEDS, "steps": steps,
         "exchanges_every": 100, "exchanges_end_at": 3 * steps // 4, "training": TRAINING.to_dict(),
         "published": "ResNet-50 on ImageNet at 90 %: RigL 73.0, SET 70.4, static 67.7 of 76.8 % (Erdős–Rényi kernel; from "
         "memory)"},
        {"methods": found},
        {
            f"RigL > SET at {SPARSITY:.0%} ({top1['rigl']:.2f}, {top1['set']:.2f})": top1["rigl"] > top1["set"],
            f"SET > a mask that stays at {SPARSITY:.0%} ({top1['set']:.2f}, {top1['static']:.2f})": top1["set"] > top1["static"],
        },
        ("All three sparse arms start with one random mask of Erdős–Rényi densities. 12 epochs, where the field gives 160.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
