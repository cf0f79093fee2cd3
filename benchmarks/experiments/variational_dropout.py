"""Variational dropout on pixels from 0 to 1, as it is published: what is black in every picture then tells a weight nothing.

Normalised pixels, those of learned_masks.py, have a border of one constant that weights can use in a bias's place.

    python benchmarks/experiments/variational_dropout.py     # writes benchmarks/results/variational-dropout.json
"""

from __future__ import annotations

import dataclasses as dc
from pathlib import Path
from typing import Any

import torch
from common import arguments, finish, write
from learned_masks import SEEDS, TRAINING, experiment, figures_of_networks, inputs_read

from secateur.lab import Experiment, load_model
from secateur.training.data import Data, Normalise, load_data

ARMS: dict[str, dict[str, float]] = {"variational_dropout": {"kl": 0.45, "train_clip": True}, "dense": {}}

torch.set_flush_denormal(True)  # Adam's moments of weights that are clipped fade, and denormal numbers are slow


def load(folder: str | Path | None = None) -> Data:
    """MNIST with pixels from 0 to 1."""
    return dc.replace(load_data("mnist", folder), name="raw_mnist", prepare=Normalise(mean=(0.0,), std=(1.0,)))


def main() -> None:
    options = arguments()
    examples = len(load(options.data).train)

    def on_raw_pixels(arm: str, seed: int) -> Experiment:
        return dc.replace(experiment(arm, ARMS[arm], seed, examples), task="variational_dropout:load")

    made = {arm: [on_raw_pixels(arm, s) for s in SEEDS] for arm in ARMS}
    results = {o.experiment.id: o.result for o in finish([e for es in made.values() for e in es], options)}

    def figures_of(arm: str) -> dict[str, Any]:
        runs = [r for e in made[arm] if (r := results[e.id]) is not None]
        return figures_of_networks(runs, [inputs_read(load_model(e, options.out)) for e in made[arm]])

    found = {arm: figures_of(arm) for arm in ARMS}
    ratio = float(found["variational_dropout"]["compression_of_weights"]["mean"])
    lost = float(found["variational_dropout"]["error_percent"]["mean"] - found["dense"]["error_percent"]["mean"])
    write(
        "variational-dropout",
        "LeNet-300-100 does with a sixtieth of its weights, by a dropout rate for every weight",
        {"task": "mnist, pixels from 0 to 1", "model": "lenet_300_100", "seeds": SEEDS, "training": TRAINING.to_dict(),
         "published": "1.92 % error, 68 ×, 98.9-97.2-62.0 % sparse, 200 epochs, dense 1.64 %"},
        found,
        {f"≥ 60 × (published: 68 ×; {ratio:.1f})": ratio >= 60,
         f"error within 0.3 pt of dense ({lost:+.2f})": lost <= 0.3},
        (
            "The training is that of learned_masks.py, the pixels the paper's; weights with log α ≥ 3 are clipped in training.",
            "The penalty's weight was chosen by validation on a seed that is not among these, 7: clipped, 1 gave 107.8 × at "
            "97.88 % and 0.5 gave 71.4 × at 98.12 %; 0.45 is a little less than the latter.",
            "As published, with weight 1 and no clipping, one seed gave 56 ×, biases counted, at 1.75 % error; learned_masks.py "
            "has three on normalised pixels.",
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
