"""A wide network pruned on a ramp against a narrow dense one of as many non-zeros, in as many steps (Zhu & Gupta 2018)."""

from __future__ import annotations

from typing import Any

from common import arguments, finish, mean_std, write

from secateur.lab import Experiment
from secateur.training import Training
from secateur.training.data import load_data
from secateur.training.models import build_model

SEEDS = (0, 1, 2)
EVENTS = 40
BLOCK = 64
# Equal in both: layers, steps, batches, the choice among the rates by validation. Not equal: the width, and the ramp.
TASKS: dict[str, dict[str, Any]] = {
    "gpt": {
        "task": "tinyshakespeare", "task_options": {"block_size": BLOCK}, "model": "gpt",
        "small": {"n_embd": 64, "block_size": BLOCK, "n_layer": 3}, "large": {"n_embd": 128, "block_size": BLOCK, "n_layer": 3},
        "training": {"epochs": 2, "batch_size": 32, "optimizer": "adamw", "weight_decay": 0.01, "clip": 1.0, "warmup": 0.05,
                     "mixed_precision": "bf16"},
        "rates": (1e-3, 3e-3), "figure": "loss",
    },
    "cnn": {
        "task": "cifar10", "task_options": {}, "model": "secateur.training.models:ResNet",
        "small": {"depth": 8, "width": 0.5}, "large": {"depth": 8, "width": 1.0},
        "training": {"epochs": 3, "batch_size": 128, "weight_decay": 5e-4, "mixed_precision": "bf16"},
        "rates": (0.05, 0.15), "figure": "top1",
    },
}  # fmt: skip


def size(setting: dict[str, Any], which: str) -> int:
    return sum(p.numel() for p in build_model(setting["model"], **setting[which]).parameters())


def ramp(steps: int) -> dict[str, int]:
    """From a tenth of the training to three quarters of it."""
    every = max(1, round(0.65 * steps / EVENTS))
    begin = steps // 10
    return {"begin": begin, "end": begin + EVENTS * every, "every": every}


def experiments(setting: dict[str, Any], steps: int) -> dict[tuple[str, float, int], Experiment]:
    """Arm, rate, seed → experiment."""
    made = {}
    compression = size(setting, "large") / size(setting, "small")
    for rate in setting["rates"]:
        training = Training(learning_rate=rate, **setting["training"])
        for seed in SEEDS:
            common: dict[str, Any] = {
                "task": setting["task"], "task_options": setting["task_options"], "model": setting["model"],
                "training": training, "seed": seed,
            }  # fmt: skip
            for which in ("small", "large"):
                made[f"{which} dense", rate, seed] = Experiment(**common, model_arguments=setting[which])
            made["large sparse", rate, seed] = Experiment(
                **common, model_arguments=setting["large"], start="initial", compression=compression,
                method="zhu_gupta_2018", method_arguments=ramp(steps),
            )  # fmt: skip
    return made


def figures_of(setting: dict[str, Any], made: dict[Any, Experiment], results: dict[str, Any]) -> dict[str, Any]:
    """Each arm at the rate that validation prefers."""
    sign, name = (-1, "loss") if setting["figure"] == "loss" else (1, "top1")
    figures: dict[str, Any] = {}
    for arm in dict.fromkeys(a for a, _, _ in made):
        runs = {r: [results[made[arm, r, s].id] for s in SEEDS] for r in setting["rates"]}
        best = max(runs, key=lambda r: sign * mean_std(x["validation"][name] for x in runs[r])["mean"])
        found = runs[best]
        figures[arm] = {
            "best_rate_by_validation": best,
            "test_loss": mean_std(r["test"]["loss"] for r in found),
            "test_top1": mean_std(r["test"]["top1"] for r in found),
            "nonzero": mean_std(r["nonzero"] for r in found),
            "parameters": mean_std(r["parameters"] for r in found),
            "theoretical_speedup": mean_std(r["speedup"] for r in found),
            "multiply_adds": mean_std(r["effective_macs"] for r in found),
            "seconds": mean_std(r["seconds"] for r in found),
        }
    return figures


def main() -> None:
    options = arguments()
    settings, made = {}, {}
    for name, setting in TASKS.items():
        data = load_data(setting["task"], options.data, **setting["task_options"])
        steps = Training(**setting["training"]).steps(len(data.train))
        made[name] = experiments(setting, steps)
        settings[name] = {**setting, "steps": steps, "ramp": ramp(steps)}
    results = {o.experiment.id: o.result for o in finish([e for m in made.values() for e in m.values()], options)}
    figures = {name: figures_of(TASKS[name], made[name], results) for name in TASKS}
    checks = {}
    for name, found in figures.items():
        sparse, dense = found["large sparse"], found["small dense"]
        if TASKS[name]["figure"] == "loss":
            checks[f"{name}: large-sparse has the lower perplexity"] = sparse["test_loss"]["mean"] < dense["test_loss"]["mean"]
        else:
            checks[f"{name}: large-sparse has the higher accuracy"] = sparse["test_top1"]["mean"] > dense["test_top1"]["mean"]
        ratio = sparse["nonzero"]["mean"] / dense["nonzero"]["mean"]
        checks[f"{name}: as many non-zeros, to 0.1 %"] = abs(ratio - 1) < 0.001
    write(
        "large-sparse-small-dense",
        "a wide network pruned to the non-zeros of a narrow dense one is better than it, in as many steps (Zhu & Gupta 2018)",
        {
            "tasks": settings,
            "seeds": SEEDS,
            "published": "from memory: MobileNet-V1, top-1 of the wide one at 50, 75 and 90 % 69.5, 67.7 and 61.8 at 2.13, "
            "1.09 and 0.46 M non-zeros; narrow dense ones 68.4, 63.7 and 50.6 at 2.57, 1.32 and 0.46 M",
        },
        figures,
        checks,
        (
            "Steps and batches are equal, time is not: a masked wide network trains at a wide network's cost.",
            "Embeddings, norms and the output layer stay dense and are counted, so a wide network's layers are pruned for them.",
        ),
    )


if __name__ == "__main__":
    main()
