"""A cubic ramp against one shot, layer-wise at 90 %, with equal epochs in all, at two learning rates (Zhu & Gupta 2018)."""

from __future__ import annotations

from typing import Any

from common import arguments, checkpoint, finish, mean_std, write

from secateur.lab import Experiment
from secateur.training import Training

SEEDS = (0, 1, 2)
RATES = (0.005, 0.02)
EPOCHS, SPARSITY, EVENTS = 2, 0.9, 20


def main() -> None:
    options = arguments()
    training = Training(epochs=EPOCHS, batch_size=128, learning_rate=0.05, weight_decay=1e-4, mixed_precision="bf16")
    steps = training.steps(45_000)
    every = steps // 2 // EVENTS
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "one_shot": ("layer_magnitude", {"sparsity": SPARSITY}),
        "ramp": ("zhu_gupta_2018", {"sparsity": SPARSITY, "begin": 0, "end": EVENTS * every, "every": every}),
        # one interval: everything at once, when the ramp would have ended, so that both recover for as long
        "one_shot_at_the_ramps_end": (
            "zhu_gupta_2018",
            {"sparsity": SPARSITY, "begin": (EVENTS - 1) * every, "end": EVENTS * every, "every": every},
        ),
    }
    trained = checkpoint("resnet20", options.data)
    experiments = {
        (way, rate, seed): Experiment(
            task="cifar10", model="resnet_20", pretrained=trained, training=training, seed=seed, method=method,
            method_arguments=tuple({**own, "epochs": EPOCHS, "learning_rate": rate}.items()),
        )
        for way, (method, own) in ways.items() for rate in RATES for seed in SEEDS
    }  # fmt: skip
    results = {o.experiment.id: o.result for o in finish(list(experiments.values()), options)}

    def runs(way: str, rate: float) -> list[dict[str, Any]]:
        return [results[experiments[way, rate, s].id] for s in SEEDS]

    figures: dict[str, Any] = {"dense_top1": runs("ramp", RATES[0])[0]["dense_test"]["top1"]}
    for way in ways:
        figures[way] = {
            str(rate): {
                "top1": mean_std(r["test"]["top1"] for r in runs(way, rate)),
                "validation_top1": mean_std(r["validation"]["top1"] for r in runs(way, rate)),
                "compression": mean_std(r["compression"] for r in runs(way, rate)),
            }
            for rate in RATES
        }
        figures[way]["best_rate_by_validation"] = max(RATES, key=lambda r: figures[way][str(r)]["validation_top1"]["mean"])
    gaps = {str(r): figures["ramp"][str(r)]["top1"]["mean"] - figures["one_shot"][str(r)]["top1"]["mean"] for r in RATES}
    best = {way: figures[way][str(figures[way]["best_rate_by_validation"])]["top1"]["mean"] for way in ways}
    figures["ramp_minus_one_shot"] = {**gaps, "each at its best rate": best["ramp"] - best["one_shot"]}
    late = best["ramp"] - best["one_shot_at_the_ramps_end"]
    figures["ramp_minus_one_shot_at_the_ramps_end"] = {"each at its best rate": late}
    write(
        "zhu-gupta-2018",
        "the cubic ramp beats one shot at 90 % by more than 0.5 pt with equal epochs in all",
        {"task": "cifar10", "model": "resnet_20, trained weights", "epochs": EPOCHS, "steps": steps, "learning_rates": RATES,
         "ramp_ends_at_step": EVENTS * every, "events_every": every, "seeds": SEEDS, "training": training.to_dict()},
        figures,
        {
            f"ramp − one shot > 0.5 pt at learning rate {RATES[0]}": gaps[str(RATES[0])] > 0.005,
            f"ramp − one shot > 0.5 pt at learning rate {RATES[1]}": gaps[str(RATES[1])] > 0.005,
            "ramp − one shot > 0.5 pt, each at its best rate": figures["ramp_minus_one_shot"]["each at its best rate"] > 0.005,
            "ramp − one shot when the ramp ends > 0.5 pt, each at its best rate": late > 0.005,
        },
        (
            "One shot before the fine-tuning has twice as long to recover as the ramp, which half of the epochs are spent on.",
            "Three epochs at a rate of 0.05 were tried as well: 85.67 ± 0.16 (one shot) and 85.55 ± 0.32 (ramp).",
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
