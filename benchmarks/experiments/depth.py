"""Residual branches of a trained ResNet-56: each deleted alone, and a third of them, then one short fine-tuning.

python benchmarks/experiments/depth.py       # writes benchmarks/results/depth-resnet56.json
"""

from __future__ import annotations

import copy
import statistics
from typing import Any

import torch
from common import arguments, checkpoint, write

import secateur as sc
from secateur.allocation import Global
from secateur.lab import Experiment
from secateur.recovery import recalibrate_
from secateur.schedule import OneShot
from secateur.score import Magnitude, Random
from secateur.structure import Layers
from secateur.training import Training, fit
from secateur.training.models import ResNet, load_checkpoint

TRAINING = Training(epochs=1, batch_size=128, learning_rate=0.02, weight_decay=1e-4, mixed_precision="bf16")
X = torch.zeros(1, 3, 32, 32)
TRANSITIONS = ("layer2.0", "layer3.0")


def recipe(score: Any, members: str = "scales") -> sc.Recipe:
    return sc.Recipe(structure=Layers(members=members), score=score, allocation=Global(), schedule=OneShot(sparsity=1 / 3))


def main() -> None:
    options = arguments()
    start = checkpoint("resnet56", options.data)
    task = Experiment(task="cifar10", model="resnet_56", pretrained=start, training=TRAINING).load_task(options.data)
    base, test = load_checkpoint(ResNet(56), start), task.data.test
    dense = task.evaluate(base, test)["top1"]
    names = [row[0] for row in sc.Pruner(copy.deepcopy(base), recipe(Magnitude()), example_inputs=X)._units.rows()]
    single = {}
    for name in [*names, *TRANSITIONS]:
        model = copy.deepcopy(base)
        block = model.get_submodule(name)
        with torch.no_grad():
            for p in (block.bn2.weight, block.bn2.bias):
                p.zero_()
        single[name] = dense - task.evaluate(model, test)["top1"]
        print(name, round(100 * single[name], 2), flush=True)
    third = {}
    train = task.data.train
    pick = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:2000]
    for name, score in (("smallest norm scales", Magnitude()), ("random", Random(seed=0))):
        model = copy.deepcopy(base)
        pruner = sc.prune_(model, recipe(score), example_inputs=X)
        shrunk = sc.shrink_(model, torch.randn(2, 3, 32, 32), pruner.plan)
        recalibrate_(model, task.batches(type(train)(*train[pick]), 200), examples=2000)
        before = task.evaluate(model, test)["top1"]
        fit(model, task, TRAINING, seed=0)
        after = task.evaluate(model, test)["top1"]
        third[name] = {"branches": len(pruner.plan["layers"]), "fewer_multiply_adds": shrunk.macs[0] / shrunk.macs[1],
                       "top1_recalibrated": before, "top1": after}  # fmt: skip
        print(third[name], flush=True)
    inside = statistics.median(single[n] for n in names)
    write(
        "depth-resnet56",
        "a single residual block can be deleted at hardly any loss, except where the size changes (Veit et al. 2016)",
        {"task": "cifar10", "model": "resnet_56, trained weights", "training": TRAINING.to_dict(), "seeds": [0]},
        {"dense_top1": dense, "drop_when_one_branch_goes": single, "median_drop": inside, "a_third_of_the_branches": third},
        {
            "median drop of one branch < 2 pt": inside < 0.02,
            "a branch where the size changes costs more than the median": min(single[n] for n in TRANSITIONS) > inside,
            "a branch where the size changes costs > 10 pt": min(single[n] for n in TRANSITIONS) > 0.1,
        },
        notes=("One seed. No fine-tuning and no recalibration when a single branch goes.",),
    )


if __name__ == "__main__":
    main()
