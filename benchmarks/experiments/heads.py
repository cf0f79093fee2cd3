"""Attention heads of a small GPT, pruned after training by the loss's answer to a gate, by size, by chance (Michel et al. 2019).

python benchmarks/experiments/heads.py       # writes benchmarks/results/heads.json
"""

from __future__ import annotations

import dataclasses as dc
from typing import Any

from common import arguments, finish, mean_std, write

import secateur as sc
from secateur.lab import Experiment
from secateur.methods import make
from secateur.score import Magnitude, Random
from secateur.training import Training

SEEDS = (0, 1, 2)
SPARSITIES = (0.125, 0.25, 0.375, 0.5)
LAYERS, HEADS, BLOCK = 4, 8, 64
ARMS = ("michel_2019", "magnitude", "random")
DENSE = Experiment(
    task="tinyshakespeare", task_options={"block_size": BLOCK}, model="gpt",
    model_arguments={"n_layer": LAYERS, "n_head": HEADS, "n_embd": 128, "block_size": BLOCK},
    training=Training(epochs=4, batch_size=32, optimizer="adamw", learning_rate=2e-3, weight_decay=0.01, clip=1.0, warmup=0.05),
)  # fmt: skip
SAID = 0.05  # nats: a loss that much higher is noticed


def recipe(arm: str, sparsity: float, seed: int) -> sc.Recipe:
    """An eighth of the heads a round, scored anew; nothing is trained."""
    made = make("michel_2019", sparsity=sparsity, rounds=round(sparsity / 0.125), epochs=0)
    if arm == "michel_2019":
        return made
    score = Magnitude() if arm == "magnitude" else Random(seed=seed)
    return dc.replace(made, score=score, structure=dc.replace(made.structure, members="all", reduce="l2"))


def main() -> None:
    options = arguments()
    made = {
        (a, s): [dc.replace(DENSE, recipe=recipe(a, s, seed), method=a, seed=seed) for seed in SEEDS]
        for a in ARMS
        for s in SPARSITIES
    }
    results = {o.experiment.id: o.result for o in finish([e for es in made.values() for e in es], options)}

    def figures_of(experiments: list[Experiment]) -> dict[str, Any]:
        runs = [r for e in experiments if (r := results[e.id]) is not None]
        return {
            "loss_nats": mean_std(r["test"]["loss"] for r in runs),
            "rise_nats": mean_std(
                r["test"]["loss"] - (results[e.dense().id] or {})["test"]["loss"] for r, e in zip(runs, experiments, strict=True)
            ),
            "top1": mean_std(r["test"]["top1"] for r in runs),
            "compression": mean_std(r["compression"] for r in runs),
        }

    found = {f"{a} at {s:.1%} of the heads": figures_of(es) for (a, s), es in made.items()}
    dense = mean_std(r["test"]["loss"] for s in SEEDS if (r := results[dc.replace(DENSE, seed=s).id]) is not None)

    def rise(arm: str, sparsity: float) -> float:
        return float(found[f"{arm} at {sparsity:.1%} of the heads"]["rise_nats"]["mean"])

    quarter = rise("michel_2019", 0.25)
    checks = {f"25 % of the heads: the loss rises by less than {SAID} nats ({quarter:.3f})": quarter < SAID}
    for s in SPARSITIES:
        taylor, size, chance = (rise(a, s) for a in ARMS)
        checks[f"{s:.1%}: the loss's answer rises by half of chance or less ({taylor:.3f}, {chance:.3f})"] = (
            taylor <= 0.5 * chance
        )
        checks[f"{s:.1%}: and by less than size ({size:.3f})"] = taylor < size
    write(
        "heads",
        "20 to 40 % of the heads go after training before quality falls noticeably",
        {
            "task": "tinyshakespeare", "model": f"GPT, {LAYERS} layers of {HEADS} heads, width 128, blocks of {BLOCK} characters",
            "training": DENSE.training.to_dict(), "seeds": SEEDS, "noticed": f"the loss is higher by {SAID} nats",
            "published": "20 to 40 % of the heads of BERT and of WMT models go before quality falls",
        },
        {"dense_loss_nats": dense, "ways": found},
        checks,
        ("The units, the rounds and the shares are the same for all; after the cut nothing is trained.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
