"""A cubic ramp against one shot, both layer-wise at 90 %, with equal epochs in all (Zhu & Gupta 2018)."""

from __future__ import annotations

from common import arguments, checkpoint, finish, mean_std, write

from secateur.lab import Experiment
from secateur.training import Training

SEEDS = (0, 1, 2)
EPOCHS, RATE, SPARSITY = 3, 0.05, 0.9


def main() -> None:
    options = arguments()
    training = Training(epochs=EPOCHS, batch_size=128, learning_rate=RATE, weight_decay=1e-4, mixed_precision="bf16")
    steps = training.steps(45_000)
    every = steps * 2 // 3 // 20
    ways = {
        "one_shot": ("layer_magnitude", {"sparsity": SPARSITY}),
        "ramp": ("zhu_gupta_2018", {"sparsity": SPARSITY, "begin": 0, "end": 20 * every, "every": every}),
    }
    experiments = {
        (way, seed): Experiment(
            task="cifar10", model="resnet_20", pretrained=checkpoint("resnet20", options.data), training=training, seed=seed,
            method=method, method_arguments=tuple({**own, "epochs": EPOCHS, "learning_rate": RATE}.items()),
        )
        for way, (method, own) in ways.items() for seed in SEEDS
    }  # fmt: skip
    outcomes = {o.experiment.id: o.result for o in finish(list(experiments.values()), options)}
    runs = {way: [outcomes[experiments[way, s].id] for s in SEEDS] for way in ways}
    figures = {
        "dense_top1": runs["ramp"][0]["dense_test"]["top1"],
        **{way: {"top1": mean_std(r["test"]["top1"] for r in rs), "compression": mean_std(r["compression"] for r in rs),
                 "sparsity_of_prunable": SPARSITY} for way, rs in runs.items()},
    }  # fmt: skip
    gap = figures["ramp"]["top1"]["mean"] - figures["one_shot"]["top1"]["mean"]
    figures["ramp_minus_one_shot"] = gap
    write(
        "zhu-gupta-2018",
        "the cubic ramp beats one shot at 90 % by more than 0.5 pt with equal epochs in all",
        {"task": "cifar10", "model": "resnet_20, trained weights", "epochs": EPOCHS, "steps": steps,
         "ramp_ends_at_step": 20 * every, "events_every": every, "seeds": SEEDS, "training": training.to_dict()},
        figures,
        {"ramp − one shot > 0.5 pt": gap > 0.005, "every seed's ramp beats its one shot": all(
            a["test"]["top1"] > b["test"]["top1"] for a, b in zip(runs["ramp"], runs["one_shot"], strict=True))},
    )  # fmt: skip


if __name__ == "__main__":
    main()
