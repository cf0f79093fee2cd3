"""Late rewinding against rewinding to 0, and replayed learning rates against fine-tuning, for ResNet-20."""

from __future__ import annotations

import dataclasses as dc
from typing import Any

from common import arguments, checkpoint, finish, mean_std, write

from secateur.lab import Experiment
from secateur.recipe import Recipe
from secateur.recovery import Finetune
from secateur.schedule import OneShot
from secateur.training import Training

SEEDS = (0, 1, 2)
SPARSITY, ROUNDS = 0.9, 3
LATE = 47  # 5 % of the steps
SMALL = Experiment(
    task="small_cifar:load", model="resnet_20",
    training=Training(epochs=6, batch_size=64, learning_rate=0.1, weight_decay=1e-4),
)  # fmt: skip
RETRAIN = Training(epochs=1, batch_size=128, learning_rate=0.05, weight_decay=1e-4, mixed_precision="bf16")
LAST_RATE = 1e-3


def rewound(seed: int, to: int) -> Experiment:
    method = "late_rewinding" if to else "lottery_ticket"
    given = (("sparsity", SPARSITY), ("rounds", ROUNDS), ("to", to))
    return dc.replace(SMALL, method=method, method_arguments=given, seed=seed)


def retrained(seed: int, how: str, weights: str) -> Experiment:
    """A trained ResNet-20 on whole CIFAR-10, 90 % of its weights gone at once, and equally long retraining."""
    start = Experiment(task="cifar10", model="resnet_20", pretrained=weights, training=RETRAIN, seed=seed)
    if how == "learning rates replayed":
        given = (("sparsity", SPARSITY), ("rounds", 1))
        return dc.replace(start, method="renda_2020", method_arguments=given)
    recovery = Finetune(epochs=RETRAIN.epochs, learning_rate=LAST_RATE)
    recipe = Recipe(schedule=OneShot(sparsity=SPARSITY), recovery=recovery)
    return dc.replace(start, recipe=recipe, training=dc.replace(RETRAIN, decay="constant"), method="fine-tuned")


def figures_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "top1": mean_std(r["test"]["top1"] for r in runs),
        "dense_top1": mean_std(r["dense_test"]["top1"] for r in runs),
        "compression": mean_std(r["compression"] for r in runs),
        "seconds": mean_std(r["seconds"] for r in runs),
    }


def main() -> None:
    options = arguments()
    weights = checkpoint("resnet20", options.data)
    groups = {f"rewound to {to}": [rewound(s, to) for s in SEEDS] for to in (0, LATE)}
    groups |= {how: [retrained(s, how, weights) for s in SEEDS] for how in ("learning rates replayed", "fine-tuned at 0.001")}
    outcomes = finish([e for es in groups.values() for e in es], options)
    found = {o.experiment.id: o.result for o in outcomes}
    figures = {name: figures_of([found[e.id] for e in es]) for name, es in groups.items()}
    first, late, replayed, tuned = (100 * f["top1"]["mean"] for f in figures.values())
    write(
        "rewinding",
        "ResNet-20 at 90 %: late rewinding beats rewinding to 0, and replayed learning rates beat fine-tuning at the last one",
        {
            "rewinding": {"start": SMALL.to_dict(), "sparsity": SPARSITY, "rounds": ROUNDS, "late": LATE},
            "retraining": {"training": RETRAIN.to_dict(), "fine-tuning rate": LAST_RATE, "checkpoint": "resnet20"},
            "seeds": SEEDS,
            "published": "ResNet-50, rewound to a step of 4 to 6 of 90 epochs: 76.16 % at half of the weights, 73.66 % at a "
            "tenth, dense 76.14 % (read off a figure); replayed learning rates are as good as rewinding or "
            "better, and better than fine-tuning",
        },
        figures,
        {
            f"rewound to step {LATE} ≥ 0.5 pt above rewound to 0 ({late:.2f}, {first:.2f})": late - first >= 0.5,
            f"learning rates replayed ≥ 0.5 pt above a constant {LAST_RATE:g} ({replayed:.2f}, {tuned:.2f})": replayed - tuned
            >= 0.5,
        },
        [
            "the rewound networks are trained on 10 000 pictures of 16 × 16, in 3 rounds instead of 10: see small_cifar.py",
            "At this size a network can be trained from step 0 as well as from step 47: after six epochs the dense one is at 50 "
            "%, under-trained, and each round adds a training. Instability at step 0, which late rewinding mends, needs longer "
            "trainings.",
        ],
    )


if __name__ == "__main__":
    main()
