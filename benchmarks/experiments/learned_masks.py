"""LeNet-300-100 on MNIST: a dropout rate for every weight, gates on every input (Molchanov et al. 2017, Louizos et al. 2018).

python benchmarks/experiments/learned_masks.py       # writes benchmarks/results/learned-masks.json
"""

from __future__ import annotations

from typing import Any

from common import arguments, finish, mean_std, write

from secateur.lab import Experiment, load_model
from secateur.training import Task, Training
from secateur.training.data import load_data

SEEDS = (0, 1, 2)
EPOCHS = 200
# What validation chooses among: of the settings within 0.3 pt of the dense network the one that keeps least.
SETTINGS: dict[str, tuple[dict[str, float], ...]] = {
    "dense": ({},),
    "variational_dropout": ({"kl": 1.0},),
    "l0_hard_concrete": ({"penalty": 0.1, "gate_learning_rate": 0.05}, {"penalty": 0.3, "gate_learning_rate": 0.05}),
}
TRAINING = Training(epochs=EPOCHS, batch_size=100, optimizer="adam", learning_rate=1e-3, decay="linear", weight_decay=0)


def experiment(arm: str, setting: dict[str, float], seed: int, examples: int) -> Experiment:
    """The dense network, or one that learns from scratch what it does without."""
    if arm == "dense":
        return Experiment(task="mnist", model="lenet_300_100", training=TRAINING, seed=seed)
    steps, epoch = TRAINING.steps(examples), TRAINING.steps(examples) // EPOCHS
    own: dict[str, Any] = {**setting, "examples": examples, "steps": steps - 5 * epoch}  # what is left is tuned for five epochs
    if arm == "variational_dropout":
        own |= {"begin": 5 * epoch, "ramp": 15 * epoch}
    return Experiment(
        task="mnist", model="lenet_300_100", training=TRAINING, method=arm, method_arguments=tuple(own.items()),
        start="initial", seed=seed,
    )  # fmt: skip


def inputs_read(model: Any) -> list[int]:
    """Inputs of each layer that a weight reads: what is left of 784-300-100."""
    return [int((layer.weight != 0).any(0).sum()) for layer in (model.fc1, model.fc2, model.fc3)]


def figures_of_networks(runs: list[dict[str, Any]], inputs: list[list[int]]) -> dict[str, Any]:
    """What is left of one arm's networks, over its seeds."""
    weights = [{n: (total, left) for n, total, left in r["layers"] if n.endswith("weight")} for r in runs]
    return {
        "validation_top1": mean_std(r["validation"]["top1"] for r in runs),
        "error_percent": mean_std(100 * (1 - r["test"]["top1"]) for r in runs),
        "compression_of_weights": mean_std(sum(t for t, _ in w.values()) / sum(x for _, x in w.values()) for w in weights),
        "sparsity_percent": {n: mean_std(100 * (1 - w[n][1] / w[n][0]) for w in weights)["mean"] for n in weights[0]},
        "inputs_read": [mean_std(n[k] for n in inputs)["mean"] for k in range(3)],
        "seconds": mean_std(r["seconds"] for r in runs),
    }


def chosen(settings: list[dict[str, Any]], bar: float) -> dict[str, Any]:
    """Of the settings whose validation accuracy is above a bar the one that keeps least; with none, the most accurate."""
    good = [f for f in settings if f["validation_top1"]["mean"] >= bar]
    if good:
        return max(good, key=lambda f: f["compression_of_weights"]["mean"])
    return max(settings, key=lambda f: f["validation_top1"]["mean"])


def main() -> None:
    options = arguments()
    examples = len(Task(load_data("mnist", options.data)).data.train)
    experiments = {
        (a, i, s): experiment(a, x, s, examples) for a, xs in SETTINGS.items() for i, x in enumerate(xs) for s in SEEDS
    }
    results = {o.experiment.id: o.result for o in finish(list(experiments.values()), options)}

    def figures_of(arm: str, i: int) -> dict[str, Any]:
        made = [experiments[arm, i, s] for s in SEEDS]
        runs = [r for e in made if (r := results[e.id]) is not None]
        return {"setting": SETTINGS[arm][i], **figures_of_networks(runs, [inputs_read(load_model(e, options.out)) for e in made])}

    every = {a: [figures_of(a, i) for i in range(len(xs))] for a, xs in SETTINGS.items()}
    bar = every["dense"][0]["validation_top1"]["mean"] - 0.003
    found = {a: chosen(settings, bar) for a, settings in every.items()}
    dense, vd, gates = (found[a]["error_percent"]["mean"] for a in SETTINGS)
    ratio = found["variational_dropout"]["compression_of_weights"]["mean"]
    left = found["l0_hard_concrete"]["inputs_read"]
    checks = {
        "variational dropout: ≥ 60 × (published: 68 ×)": ratio >= 60,
        "variational dropout: ≥ 30 × at ≤ 2.2 % error": ratio >= 30 and vd <= 2.2,
        "variational dropout: error within 0.3 pt of dense": vd - dense <= 0.3,
        "variational dropout: first layer ≥ 97 % sparse": found["variational_dropout"]["sparsity_percent"]["fc1.weight"] >= 97,
        "gates: narrower than 300-200-100 at ≤ 1.8 % error": left[0] < 300 and left[1] < 200 and left[2] <= 100 and gates <= 1.8,
    }
    write(
        "learned-masks",
        "a network can learn, while it trains, which of its weights and inputs it does without",
        {"task": "mnist", "model": "lenet_300_100", "seeds": SEEDS, "training": TRAINING.to_dict(), "examples": examples,
         "published": "variational dropout 1.92 % error, 68 ×, 98.9-97.2-62.0 % sparse, 200 epochs, dense 1.64 %; gates "
         "219-214-100 inputs at 1.4 % error (from memory), 200 epochs"},
        {"methods": found, "settings": {f"{a}, {i + 1}": f for a, xs in every.items() if len(xs) > 1 for i, f in enumerate(xs)}},
        checks,
        (
            "The gates' rate is the one of 0.01, 0.02 and 0.05 that shut most in 30 epochs, seed 0, within 0.3 pt on validation.",
            "The gates' second penalty was added when the figures of the published one, 0.1, were known: 347-251-96 inputs at "
            "1.41 %. Validation chooses between them.",
            "The published network with one penalty for all layers, 219-214-100, is not narrower than 200 in its second "
            "layer either; the one that is, 266-88-33 at 1.8 %, has a penalty for each layer.",
            "Variational dropout stays 0.3 pt above this dense network with a fiftieth of the weights, as the paper does with a "
            "sixty-eighth; pixels here are normalised to mean 0 and variance 1.",
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
