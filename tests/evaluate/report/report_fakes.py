"""A comparison that looks like a real one, made from formulas and a fixed random stream."""

from __future__ import annotations

import math
import random

from secateur.evaluate.report import Comparison, Layer, MaskPicture, Point

METHODS = {"global_magnitude": 0.8, "layer_magnitude": 1.1, "gradient_magnitude": 1.0, "han_2015": 0.7}
MODELS = {
    "digits_mlp": (0.972, {"fc1.weight": 19200, "fc1.bias": 300, "fc2.weight": 30000, "fc2.bias": 100, "head.weight": 1000}),
    "digits_cnn": (
        0.988,
        {"conv1.weight": 144, "conv2.weight": 4608, "conv3.weight": 9216, "fc.weight": 32768, "head.weight": 640},
    ),
}
TARGETS = (2.0, 4.0, 8.0, 16.0, 32.0)


def comparison(seeds: int = 3, *, top5: bool = True, latency: bool = True, failures: bool = True) -> Comparison:
    rng = random.Random(7)
    points = [p for model in MODELS for p in _model_points(rng, model, seeds)]
    if not top5:
        points = [_with(p, top5=None) for p in points]
    if not latency:
        points = [_with(p, latency_ms=None, dense_latency_ms=None) for p in points]
    if failures:
        lost = dict.fromkeys(("compression", "speedup", "top1", "top5", "top1_before", "file_bytes", "latency_ms"))
        points[40] = _with(points[40], **lost, layers=(), error="RunError: no space left on device")
    return Comparison(
        title="Pruning on digits: four methods, two small networks",
        points=tuple(points),
        recipes={
            "global_magnitude": {
                "version": 1,
                "structure": {"name": "weights"},
                "score": {"name": "magnitude", "p": 1.0},
                "allocation": {"name": "global"},
                "schedule": {"name": "one_shot", "sparsity": 0.9375},
                "recovery": {"name": "finetune", "epochs": 10},
            },
            "random": "version: 1\nscore: {name: random, seed: 0}\n",
        },
        environment={
            "machine": "x86-64, 2 cores",
            "python": "3.11.4",
            "torch": "2.13.0+cpu",
            "secateur": "0.1.0",
            "commit": "3f2a91c",
            "threads": 2,
            "date": "2026-11-20",
        },
        settings={"epochs": 20, "fine-tuning epochs": 10, "optimizer": {"name": "adam", "lr": 1e-3}, "batch": 64},
        mask_pictures=tuple(_mask(rng, method) for method in (*METHODS, "random")),
        notes=("The classifier stays dense in every method.",),
    )


def _with(p: Point, **changes: object) -> Point:
    return Point.from_dict({**p.to_dict(), **changes})


def _model_points(rng: random.Random, model: str, seeds: int) -> list[Point]:
    top, tensors = MODELS[model]
    total = sum(tensors.values())
    out = []
    for seed in range(seeds):
        dense = top + rng.gauss(0, 0.002)
        common = {
            "task": "digits",
            "model": model,
            "seed": seed,
            "dense_top1": dense,
            "dense_bytes": 4 * total + 900,
            "dense_latency_ms": 0.41,
        }
        out.append(
            Point(
                **common,
                method="dense",
                control=True,
                target_compression=1.0,
                compression=1.0,
                speedup=1.0,
                top1=dense,
                top5=0.9995,
                file_bytes=4 * total + 900,
                latency_ms=0.41,
                seconds=8.1,
                layers=tuple(Layer(n, t, t) for n, t in tensors.items()),
                id=f"dense-{model}-{seed}",
            )
        )
        for method, harm in (*METHODS.items(), ("random", 4.0)):
            for target in TARGETS:
                loss = harm * 0.0016 * (math.log2(target) ** 2) * (2.4 if target > 16 else 1.0) + rng.gauss(0, 0.0018)
                layers = _layers(method, target, tensors)
                left = sum(x.nonzero for x in layers)
                out.append(
                    Point(
                        **common,
                        method=method,
                        control=method == "random",
                        target_compression=target,
                        compression=total / left,
                        speedup=(total / left) ** (0.78 if method == "han_2015" else 0.9),
                        top1=max(0.1, dense - loss),
                        top5=max(0.5, 0.9995 - loss / 4),
                        top1_before=max(0.1, dense - 8 * loss),
                        file_bytes=int(4 * left + total / 8 + 900),
                        latency_ms=0.41 / (1 + target / 20),
                        seconds=4 + rng.random(),
                        layers=layers,
                        id=f"{method[:4]}{target:g}-{model[-3:]}{seed}",
                    )
                )
    return out


def _layers(method: str, target: float, tensors: dict[str, int]) -> tuple[Layer, ...]:
    """Entries left: all biases, and of the weights what the target leaves, evenly or more towards the end."""
    budget = sum(tensors.values()) / target - sum(n for name, n in tensors.items() if "bias" in name)
    step = 0.5 if method == "global_magnitude" else 0.0
    lean = {name: 0.0 if "bias" in name else 1 + step * i for i, name in enumerate(tensors)}
    scale = budget / sum(lean[name] * n for name, n in tensors.items())
    rows = []
    for i, (name, total) in enumerate(tensors.items()):
        kept = total if "bias" in name else min(total, int(total * lean[name] * scale))
        rows.append(Layer(name, total, 0 if method == "random" and target == 32 and i == 0 else kept))
    return tuple(rows)


def _mask(rng: random.Random, method: str) -> MaskPicture:
    def density(r: int, c: int) -> float:
        d = 0.5 if method == "random" else math.exp(-((r - 13.5) ** 2 + (c - 13.5) ** 2) / 90)
        return min(1.0, max(0.0, 0.4 * d + rng.uniform(-0.05, 0.05)))

    values = tuple(tuple(density(r, c) for c in range(28)) for r in range(28))
    return MaskPicture(task="digits", model="digits_mlp", method=method, values=values, compression=12.2)
