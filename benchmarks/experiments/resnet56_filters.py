"""Filters of a trained ResNet-56 on CIFAR-10, cut out at 2.1 and 2.6 times fewer multiply-adds, against random and Torch-Pruning.

All ways remove filters of the first convolution of every block (Li et al. 2016's residual rule), from the same trained
weights, to the same budget, and then get the same batch-norm recalibration on training pictures and the same short
fine-tuning. Torch-Pruning's magnitude pruner is told which layers to leave alone, since it breaks on the padded shortcuts.
Needs ``pip install --no-deps torch-pruning==1.6.1``, which is no dependency of this library.

    python benchmarks/experiments/resnet56_filters.py       # writes benchmarks/results/resnet56-filters.json
"""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from common import arguments, checkpoint, mean_std, write
from torch import nn

import secateur as sc
from secateur.allocation import Global, Uniform
from secateur.evaluate.macs import count_macs
from secateur.lab import Experiment
from secateur.recovery import recalibrate_
from secateur.schedule import OneShot
from secateur.score import Magnitude, Random
from secateur.structure import Filters
from secateur.training import Training, fit
from secateur.training.models import ResNet, load_checkpoint

SEEDS, RATIOS, RECALIBRATED = (0, 1, 2), (2.1, 2.6), 2000
WAYS = {
    "L1 norm of filters, uniform (Li et al. 2016)": (Filters(reduce="sum"), Magnitude(p=1), Uniform()),
    "L2 norm of all members, global (Fang et al. 2023)": (
        Filters(reduce="l2", members="all", normalize="mean"), Magnitude(p=1), Global()),
    "random filters": (Filters(), None, Uniform()),
    "Torch-Pruning 1.6.1, magnitude": None,
}  # fmt: skip
KEPT = ("conv1", "layer*.conv2")  # groups that blocks share stay
TRAINING = Training(epochs=1, batch_size=128, learning_rate=0.02, weight_decay=1e-4, mixed_precision="bf16")


def cut(model: nn.Module, way: str, ratio: float, seed: int) -> None:
    """Remove filters until no more than 1/ratio of the multiply-adds are left."""
    x = torch.zeros(1, 3, 32, 32)
    if WAYS[way] is None:
        cut_by_peer(model, x, ratio)
        return
    structure, score, allocation = WAYS[way]
    recipe = sc.Recipe(structure=structure, score=score or Random(seed=seed), allocation=allocation,
                       schedule=OneShot(sparsity=0.5), exclude=KEPT)  # fmt: skip
    pruner = sc.prune_(model, recipe, example_inputs=x, target=sc.Macs(1 / ratio))
    sc.shrink_(model, torch.randn(2, 3, 32, 32), pruner.plan)


def cut_by_peer(model: nn.Module, x: torch.Tensor, ratio: float) -> None:
    """The same with Torch-Pruning; its ratio is searched for on copies."""
    import copy

    import torch_pruning

    def prune(net: nn.Module, share: float) -> int:
        stays = [m for n, m in net.named_modules() if n == "conv1" or n.endswith("conv2") or isinstance(m, nn.Linear)]
        importance = torch_pruning.importance.MagnitudeImportance(p=1)
        torch_pruning.pruner.MagnitudePruner(
            net, x, importance=importance, pruning_ratio=share, global_pruning=True, ignored_layers=stays
        ).step()
        return count_macs(net, x).total

    budget, low, high = count_macs(model, x).total / ratio, 0.0, 1.0
    for _ in range(12):
        share = (low + high) / 2
        low, high = (low, share) if prune(copy.deepcopy(model), share) <= budget else (share, high)
    prune(model, high)


def one(way: str, ratio: float, seed: int, start: str, data: Path | None, out: Path) -> dict[str, Any]:
    """Cut, recalibrate, fine-tune and test one network; a finished one is read from its file."""
    file = out / f"resnet56-{way.split()[0]}-{way.split()[1]}-{ratio}-{seed}.json"
    if file.exists():
        return json.loads(file.read_text())
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    task = Experiment(task="cifar10", model="resnet_56", pretrained=start, training=TRAINING).load_task(data)
    model = load_checkpoint(ResNet(56), start)
    x = torch.zeros(1, 3, 32, 32)
    before = count_macs(model, x).total
    cut(model, way, ratio, seed)
    train = task.data.train
    pick = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:RECALIBRATED]
    recalibrate_(model, task.batches(type(train)(*train[pick]), 200), examples=RECALIBRATED)
    row = {
        "way": way, "ratio": ratio, "seed": seed,
        "fewer_multiply_adds": before / count_macs(model, x).total,
        "parameters": sum(p.numel() for p in model.parameters()),
        "top1_recalibrated": task.evaluate(model, task.data.test)["top1"],
    }  # fmt: skip
    fit(model, task, TRAINING, seed=seed)
    row["top1"] = task.evaluate(model, task.data.test)["top1"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(row))
    return row


def main() -> None:
    options = arguments()
    start = checkpoint("resnet56", options.data)
    jobs = list(itertools.product(RATIOS, SEEDS, WAYS))
    rows = []
    with ProcessPoolExecutor(options.workers or 2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one, way, ratio, seed, start, options.data, options.out) for ratio, seed, way in jobs]
        for future in futures:
            rows.append(future.result())
            print({k: round(v, 4) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    model = load_checkpoint(ResNet(56), start)
    task = Experiment(task="cifar10", model="resnet_56", pretrained=start, training=TRAINING).load_task(options.data)
    dense = task.evaluate(model, task.data.test)["top1"]
    figures: dict[str, Any] = {"dense_top1": dense, "ways": {}}
    for ratio, way in itertools.product(RATIOS, WAYS):
        mine = [r for r in rows if r["ratio"] == ratio and r["way"] == way]
        keys = ("fewer_multiply_adds", "parameters", "top1_recalibrated", "top1")
        figures["ways"].setdefault(way, {})[str(ratio)] = {k: mean_std(r[k] for r in mine) for k in keys}

    def top1(way: str, ratio: float, key: str = "top1") -> float:
        return figures["ways"][way][str(ratio)][key]["mean"]

    l1, l2, random, peer = WAYS
    ours = max((l1, l2), key=lambda w: top1(w, 2.1))
    write(
        "resnet56-filters",
        "ResNet-56 keeps its accuracy at 2.1 times fewer multiply-adds: 93.53 → 93.46–93.77 in 100 epochs (Fang et al. 2023)",
        {"task": "cifar10", "model": "resnet_56, trained weights", "removed": "filters of the first convolution of every block",
         "recalibration_examples": RECALIBRATED, "training": TRAINING.to_dict(), "seeds": SEEDS,
         "varied_with_the_seed": "data order, augmentation, recalibration pictures, the random control's lot"},
        figures,
        {
            "norms beat random filters at both ratios": all(top1(w, r) > top1(random, r) for w in (l1, l2) for r in RATIOS),
            "the better norm is not behind Torch-Pruning at 2.1×": top1(ours, 2.1) >= top1(peer, 2.1),
            "the better norm is not behind Torch-Pruning at 2.6×": max(top1(w, 2.6) for w in (l1, l2)) >= top1(peer, 2.6),
            "within 0.8 pt of dense at 2.1×": top1(ours, 2.1) >= dense - 0.008,
        },
        notes=("The published figures are after 100 epochs of fine-tuning; here it is one epoch, on a CPU.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
