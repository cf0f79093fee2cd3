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
EPOCHS = 60
GATE_RATES = (0.01, 0.05)  # of the gates' log α; validation chooses
TRAINING = Training(epochs=EPOCHS, batch_size=100, optimizer="adam", learning_rate=1e-3, decay="linear", weight_decay=0)


def experiment(arm: str, seed: int, examples: int, gate_rate: float | None = None) -> Experiment:
    """The dense network, or one that learns from scratch what it does without."""
    if arm == "dense":
        return Experiment(task="mnist", model="lenet_300_100", training=TRAINING, seed=seed)
    steps, epoch = TRAINING.steps(examples), TRAINING.steps(examples) // EPOCHS
    own: dict[str, Any] = {"examples": examples, "steps": steps - 5 * epoch}  # what is left is tuned for five epochs
    if arm == "variational_dropout":
        own |= {"begin": 5 * epoch, "ramp": 15 * epoch}
    if gate_rate is not None:
        own["gate_learning_rate"] = gate_rate
    return Experiment(
        task="mnist", model="lenet_300_100", training=TRAINING, method=arm, method_arguments=tuple(own.items()),
        start="initial", seed=seed,
    )  # fmt: skip


def inputs_read(model: Any) -> list[int]:
    """Inputs of each layer that a weight reads: what is left of 784-300-100."""
    return [int((layer.weight != 0).any(0).sum()) for layer in (model.fc1, model.fc2, model.fc3)]


def main() -> None:
    options = arguments()
    examples = len(Task(load_data("mnist", options.data)).data.train)
    arms = ("dense", "variational_dropout", "l0_hard_concrete")
    rates: dict[str, tuple[float | None, ...]] = {a: GATE_RATES if a == "l0_hard_concrete" else (None,) for a in arms}
    tried = {(a, r, s): experiment(a, s, examples, r) for a in arms for r in rates[a] for s in SEEDS}
    results = {o.experiment.id: o.result for o in finish(list(tried.values()), options)}

    def preferred(arm: str) -> float | None:
        """The rate that leaves least of those within 0.3 pt of the most accurate one, on validation."""

        def mean(rate: float | None, figure: Any) -> float:
            return mean_std(figure(results[tried[arm, rate, s].id]) for s in SEEDS)["mean"]

        top1 = {r: mean(r, lambda x: x["validation"]["top1"]) for r in rates[arm]}
        return max((r for r in top1 if top1[r] >= max(top1.values()) - 0.003), key=lambda r: mean(r, lambda x: x["compression"]))

    best = {a: preferred(a) for a in arms}
    experiments = {(a, s): tried[a, best[a], s] for a in arms for s in SEEDS}

    def figures_of(arm: str) -> dict[str, Any]:
        runs = [r for s in SEEDS if (r := results[experiments[arm, s].id]) is not None]
        networks = [inputs_read(load_model(experiments[arm, s], options.out)) for s in SEEDS]
        weights = [{n: (total, left) for n, total, left in r["layers"] if n.endswith("weight")} for r in runs]
        return {
            "error_percent": mean_std(100 * (1 - r["test"]["top1"]) for r in runs),
            "compression_of_weights": mean_std(sum(t for t, _ in w.values()) / sum(x for _, x in w.values()) for w in weights),
            "sparsity_percent": {n: mean_std(100 * (1 - w[n][1] / w[n][0]) for w in weights)["mean"] for n in weights[0]},
            "inputs_read": [mean_std(n[k] for n in networks)["mean"] for k in range(3)],
            "seconds": mean_std(r["seconds"] for r in runs),
        }

    found = {a: figures_of(a) for a in arms}
    dense, vd, gates = (found[a]["error_percent"]["mean"] for a in arms)
    ratio = found["variational_dropout"]["compression_of_weights"]["mean"]
    left = found["l0_hard_concrete"]["inputs_read"]
    checks = {
        "variational dropout: ≥ 60 × (published: 68 ×)": ratio >= 60,
        "variational dropout: error within 0.3 pt of dense": vd - dense <= 0.3,
        "variational dropout: first layer ≥ 97 % sparse": found["variational_dropout"]["sparsity_percent"]["fc1.weight"] >= 97,
        "gates: narrower than 300-200-100 at ≤ 1.8 % error": left[0] < 300 and left[1] < 200 and left[2] <= 100 and gates <= 1.8,
    }
    write(
        "learned-masks",
        "a network can learn, while it trains, which of its weights and inputs it does without",
        {"task": "mnist", "model": "lenet_300_100", "seeds": SEEDS, "training": TRAINING.to_dict(), "examples": examples,
         "gate_rates": GATE_RATES, "gate_rate_by_validation": best["l0_hard_concrete"],
         "published": "variational dropout 1.92 % error, 68 ×, 98.9-97.2-62.0 % sparse, 200 epochs, dense 1.64 %; gates "
         "219-214-100 inputs at 1.4 % error (from memory), 200 epochs"},
        {"methods": found},
        checks,
        ("60 epochs, where the papers have 200. The gates' learning rate is chosen on validation, nothing by the test figures.",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
