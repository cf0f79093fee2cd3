"""Deep Compression of the two LeNets on MNIST: the paper's settings, and beyond them at the same error."""

from __future__ import annotations

import dataclasses as dc

import secateur as sc
from secateur.allocation import LAMP
from secateur.lab import Experiment
from secateur.methods import han_2015
from secateur.recovery import Finetune
from secateur.schedule import Cubic
from secateur.training import Training

SEEDS = (0, 1, 2)
STARTS = {
    "lenet_300_100": Experiment(
        task="mnist", model="lenet_300_100", model_arguments=(("dropout", 0.2),),
        training=Training(epochs=20, batch_size=128, learning_rate=0.1, weight_decay=1e-4),
    ),
    "lenet_5": Experiment(
        task="mnist", model="channels_last:lenet_5", model_arguments=(("dropout", 0.2),),
        training=Training(epochs=5, batch_size=64, learning_rate=0.02, weight_decay=5e-4),
    ),
}  # fmt: skip
PAPER = {
    "lenet_300_100": han_2015(sparsity=1 - 1 / 13, rounds=3, epochs=6.0, learning_rate=0.05),
    "lenet_5": han_2015(rounds=2, epochs=1.5, learning_rate=0.02, layers=(("conv*", 0.5),)),
}
BEYOND = {
    "lenet_300_100": sc.Recipe(
        allocation=LAMP(), schedule=Cubic(sparsity=0.94, begin=0, end=430 * 9, every=86), prune_classifier=True,
        recovery=Finetune(epochs=15.0, learning_rate=0.05, adjust_dropout=True, drop_dead=True),
    ),
    "lenet_5": sc.Recipe(
        allocation=LAMP(), schedule=Cubic(sparsity=0.97, begin=0, end=860 * 2, every=86), prune_classifier=True,
        recovery=Finetune(epochs=4.0, learning_rate=0.02, adjust_dropout=True, drop_dead=True),
    ),
}  # fmt: skip


def pruned(kind: dict[str, sc.Recipe], model: str, seed: int) -> Experiment:
    """The experiment of the pruned network before sharing."""
    return dc.replace(STARTS[model], recipe=kind[model], seed=seed)
