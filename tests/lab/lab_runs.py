"""Small experiments on the embedded digits, and what two runs must have in common."""

from __future__ import annotations

import dataclasses as dc
import json
from pathlib import Path
from typing import Any

from secateur import Recipe
from secateur.allocation import Uniform
from secateur.lab import Experiment
from secateur.recovery import Finetune, KeepTraining, Reinitialize, Rewind, RewindLearningRate
from secateur.schedule import Cubic, DropGrow, Iterative, OneShot
from secateur.structure import Filters
from secateur.training import Training

TRAINING = Training(epochs=2, batch_size=256)  # 5 steps a pass on the digits, 10 in all
DROPOUT = {"dropout": 0.5}
TUNED = {"epochs": 1.0, "learning_rate": 0.02}


def small(**parts: Any) -> Experiment:
    return Experiment(**{"training": TRAINING, "model_arguments": DROPOUT, **parts})


KINDS: dict[str, Experiment] = {
    "dense": small(),
    "patience": small(training=Training(epochs=6, batch_size=256, learning_rate=2.0, patience=1)),
    "one_shot": small(recipe=Recipe(schedule=OneShot(sparsity=0.8), recovery=Finetune(**TUNED))),
    "gradient": small(method="global_gradient", method_arguments=TUNED, compression=4),
    "han": small(method="han_2015", method_arguments={"rounds": 3, **TUNED}),
    "ramp": small(recipe=Recipe(allocation=Uniform(), schedule=Cubic(begin=1, end=9, every=2), recovery=KeepTraining())),
    "rewind": small(recipe=Recipe(schedule=Iterative(rounds=2, rate=0.5), recovery=Rewind(to=3))),
    "reinitialize": small(recipe=Recipe(schedule=OneShot(sparsity=0.8), recovery=Reinitialize())),
    "filters": small(
        recipe=Recipe(structure=Filters(), schedule=Iterative(rounds=2, rate=0.3), recovery=Finetune(**TUNED)), compression=3
    ),
    "exchange": small(
        recipe=Recipe(allocation=Uniform(), schedule=DropGrow(sparsity=0.8, end=8, every=2)), start="initial", compression=6
    ),
    "rates": small(recipe=Recipe(schedule=Iterative(rounds=3, rate=0.5), recovery=RewindLearningRate(to=6))),
    "tuned": small(recipe=Recipe(structure=Filters(), schedule=Iterative(rounds=2, rate=0.3), recovery=Finetune(**TUNED))),
    "random_reinit": small(method="han_2015", method_arguments={"rounds": 2, **TUNED}, control="random_reinit"),
    "random_mask": small(method="global_magnitude", method_arguments=TUNED, compression=4, control="random_mask"),
    "scratch_b": small(method="li_2016", method_arguments=TUNED, control="scratch_b"),
    "early_stop": small(training=dc.replace(TRAINING, epochs=3, learning_rate=2.0, validate_every=2)),
    "initial": small(recipe=Recipe(schedule=OneShot(sparsity=0.8), recovery=KeepTraining()), start="initial"),
    "pipeline": small(method="deep_compression", method_arguments={"rounds": 2, **TUNED, "linear": 3, "tuning_rate": 0.001}),
}

MEASURED = ("seconds", "environment", "latency_ms", "latency_threads", "dense_latency_ms", "measured_energy")


def what_counts(root: Path, experiment: Experiment) -> tuple[dict[str, Any], bytes]:
    """The result without what is measured, and the file of the weights."""
    folder = Path(root) / experiment.id
    result = json.loads((folder / "result.json").read_text())
    result["cost"] = result["cost"]["steps"]  # the memory is measured
    return {k: v for k, v in result.items() if k not in MEASURED}, (folder / "model.safetensors").read_bytes()
