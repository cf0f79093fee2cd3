"""Deep Compression of the two LeNets on MNIST: the paper's bits and Huffman's code, and beyond them at the same error."""

from __future__ import annotations

import argparse
import dataclasses as dc
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import arguments, finish, mean_std, write

import secateur as sc
from secateur.allocation import LAMP
from secateur.codec import inspect_file
from secateur.codec.quantise import size_model
from secateur.lab import Experiment, load_model, run
from secateur.pipeline import Code, Pipeline
from secateur.recovery import Finetune
from secateur.schedule import Cubic, Iterative
from secateur.training import Task, Training
from secateur.training.data import load_data
from secateur.training.models import build_model

SEEDS = (0, 1, 2)
STARTS = {
    "lenet_300_100": Experiment(
        task="mnist", model="lenet_300_100", model_arguments=(("dropout", 0.2),),
        training=Training(epochs=20, batch_size=128, learning_rate=0.1, weight_decay=1e-4),
    ),
    "lenet_5": Experiment(
        task="mnist", model="channels_last:lenet_5", model_arguments=(("dropout", 0.2),),
        training=Training(epochs=20, batch_size=64, learning_rate=0.02, weight_decay=5e-4),
    ),
}  # fmt: skip


def ramp(sparsity: float, end: int, epochs: float) -> sc.Recipe:
    """The trained network loses weights along a cubic ramp while it is trained on."""
    return sc.Recipe(
        allocation=LAMP(), schedule=Cubic(sparsity=sparsity, begin=0, end=end, every=86), prune_classifier=True,
        recovery=Finetune(epochs=epochs, learning_rate=0.02, adjust_dropout=True, drop_dead=True),
    )  # fmt: skip


def rounds(sparsity: float) -> sc.Recipe:
    """In four rounds, each trained out."""
    return sc.Recipe(
        allocation=LAMP(), schedule=Iterative(rounds=4).at(sparsity), prune_classifier=True,
        recovery=Finetune(epochs=16.0, learning_rate=0.05, adjust_dropout=True, drop_dead=True),
    )  # fmt: skip


HUFFMAN = Code(coder="huffman", index_bits=5)
# Of those whose file is within the target, validation chooses the one with the least error.
PIPELINES: dict[str, dict[str, list[Pipeline]]] = {
    "paper": {
        "lenet_300_100": [
            Pipeline(prune=rounds(s), code=HUFFMAN, share=sc.Share(conv=8, linear=6, epochs=1.0, learning_rate=2e-4))
            for s in (0.935, 0.94)
        ],
        "lenet_5": [
            Pipeline(prune=ramp(s, 860 * 4, 12.0), code=HUFFMAN, share=sc.Share(conv=8, linear=5, epochs=1.0, learning_rate=2e-4))
            for s in (0.928,)
        ],
    },
    "beyond": {
        "lenet_300_100": [
            Pipeline(prune=rounds(s), share=sc.Share(linear=4, vectors=4, layers=few, epochs=e, learning_rate=2e-4))
            for s, few, e in (
                (0.935, (), 1.0), (0.935, (), 4.0), (0.94, (), 1.0), (0.94, (), 4.0), (0.94, (("fc2*", 3),), 1.0)
            )
        ],
        "lenet_5": [
            Pipeline(
                prune=ramp(s, end, e), share=sc.Share(conv=4, linear=3, vectors=4, epochs=2.0, learning_rate=1e-4)
            )
            for s, end, e in ((0.972, 860 * 5, 12.0), (0.974, 860 * 8, 20.0))
        ],
    },
}  # fmt: skip
TARGETS = {  # bytes of the file: the paper's, and beyond it
    "paper": {"lenet_300_100": 27_000, "lenet_5": 44_000},
    "beyond": {"lenet_300_100": 15_200, "lenet_5": 13_200},
}
BAR = 0.001  # error above the dense network's


def experiment(pipeline: Pipeline, model: str, seed: int) -> Experiment:
    """The whole pipeline, from the dense network to the file."""
    return dc.replace(STARTS[model], pipeline=pipeline, seed=seed)


def chosen(kind: str, model: str, options: argparse.Namespace) -> Pipeline:
    """What validation chooses, all seeds together; of files that are all too large the smallest."""

    def figures(pipeline: Pipeline) -> tuple[float, float]:
        found = [run(experiment(pipeline, model, s), options.out, data=options.data) for s in SEEDS]
        size = mean_std((options.out / r["id"] / "model.safetensors").stat().st_size for r in found)["mean"]
        return mean_std(1 - r["validation"]["top1"] for r in found)["mean"], size

    every = [(*figures(p), p) for p in PIPELINES[kind][model]]
    for error, size, p in every:
        print(f"{kind}, {model}: validation error {100 * error:.2f} %, {size:.0f} bytes of {TARGETS[kind][model]}", p.prune)
    within = [row for row in every if row[1] <= TARGETS[kind][model]]
    return min(within, key=lambda row: row[0])[2] if within else min(every, key=lambda row: row[1])[2]


# ---------------------------------------------------------------- measuring


def error_in_a_fresh_process(file: Path, e: Experiment, data: Path | None) -> float:
    """Test error of what a process that knows nothing but the file and the class reads from it."""
    code = "import deep_compression as d, sys; d.evaluate_file(*sys.argv[1:])"
    words = [str(file), e.task, e.model, json.dumps(dict(e.model_arguments)), str(data or "")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def evaluate_file(file: str, name: str, model: str, model_arguments: str, data: str) -> None:
    """Print the test error of a file."""
    task = Task(load_data(name, data or None))
    net = sc.load(file, build_model(model, **json.loads(model_arguments)))
    print(1 - task.evaluate(net, task.data.test)["top1"])


def of_one(kind: str, pipeline: Pipeline, model: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run."""
    e = experiment(pipeline, model, seed)
    result = run(e, options.out, data=options.data)
    file = options.out.resolve() / e.id / "model.safetensors"
    pruned = run(e.follows(), options.out, data=options.data)  # type: ignore[arg-type]
    return {
        "dense_error": 1 - result["dense_test"]["top1"],
        "pruned_error": 1 - pruned["test"]["top1"],
        "shared_error": 1 - result["test_before_recovery"]["top1"],
        "error": error_in_a_fresh_process(file, e, options.data),
        "dense_bytes": result["dense_bytes"],
        "file_bytes": file.stat().st_size,
        "ratio": result["dense_bytes"] / file.stat().st_size,
        "compression": result["compression"],
        "layers": layers_of(e, options) if kind == "paper" else None,
    }


def layers_of(e: Experiment, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """The paper's table: kept, bits of weights and indices before and after Huffman, and size against the formula."""
    net, folder = load_model(e, options.out), options.out / e.id
    plain = sc.compress(net, folder / "plain.safetensors", coder="none", index_bits=5)
    found = {}
    for r, p in zip(inspect_file(folder / "model.safetensors"), inspect_file(plain), strict=True):
        if len(r.shape) < 2 or r.parts is None or p.parts is None:
            continue
        n, bits = math.prod(r.shape), p.parts.weight_bits
        found[r.name] = {
            "kept": r.nonzero / n, "weight_bits": bits, "weight_bits_coded": 8 * r.parts.values / r.parts.listed, "index_bits": 5,
            "index_bits_coded": 8 * r.parts.positions / r.parts.listed, "fillers": r.parts.listed - r.nonzero,
            "quantised": p.bytes / n / 4, "formula": size_model(n, r.nonzero / n, bits, 5),
            "formula_with_fillers": size_model(n, p.parts.listed / n, bits, 5), "coded": r.bytes / n / 4,
        }  # fmt: skip
    plain.unlink()
    return found


def starts_compared(model: str, pipeline: Pipeline, options: argparse.Namespace, task: Task) -> dict[str, dict[str, Any]]:
    """Linear, density and random starts of k-means at 2, 3 and 4 bits, without tuning: validation loss and error."""
    found: dict[str, dict[str, Any]] = {}
    for bits in (2, 3, 4):
        for start in ("linear", "density", "random"):
            rows = []
            for seed in SEEDS:
                net = load_model(experiment(pipeline, model, seed).follows(), options.out)  # type: ignore[arg-type]
                sc.Sharer(net, sc.Share(conv=bits, linear=bits, start=start, seed=seed)).finish()
                rows.append(task.evaluate(net, task.data.validation))
            loss, error = mean_std(r["loss"] for r in rows), mean_std(1 - r["top1"] for r in rows)
            found[f"{bits} bits, {start}"] = {"validation_loss": loss, "validation_error": error}
    return found


# ---------------------------------------------------------------- all of it


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = [k for k, v in rows[0].items() if isinstance(v, float | int)]
    found: dict[str, Any] = {k: mean_std(r[k] for r in rows) for k in numbers}
    if rows[0]["layers"] is not None:
        names = rows[0]["layers"]
        found["layers"] = {n: {k: mean_std(r["layers"][n][k] for r in rows)["mean"] for k in names[n]} for n in names}
    return found


def checks_of(figures: dict[str, Any]) -> dict[str, bool]:
    checks = {}
    for kind, nets in TARGETS.items():
        for model, most in nets.items():
            f = figures[kind][model]
            error, dense, size = (f[k]["mean"] for k in ("error", "dense_error", "file_bytes"))
            checks[f"{kind}, {model}: file ≤ {most / 1000:g} KB"] = size <= most
            checks[f"{kind}, {model}: error ≤ dense + {100 * BAR:g} pt"] = error <= dense + BAR + 1e-12
    for model in STARTS:
        losses = {k: v["validation_loss"]["mean"] for k, v in figures["starts"][model].items()}
        for bits in (2, 4):
            best = min(losses[f"{bits} bits, {s}"] for s in ("density", "random"))
            checks[f"{model}: linear start no worse than the others at {bits} bits"] = losses[f"{bits} bits, linear"] <= best
        rows = figures["paper"][model]["layers"].values()
        checks[f"{model}: quantised sizes are the formula's with fillers, or less where values are unused"] = all(
            r["quantised"] <= 1.01 * r["formula_with_fillers"] for r in rows
        )
    return checks


def main() -> None:
    options = arguments()
    figures: dict[str, Any] = {}
    finish([experiment(p, m, s) for k in TARGETS for m in STARTS for p in PIPELINES[k][m] for s in SEEDS], options)
    best = {k: {m: chosen(k, m, options) for m in STARTS} for k in TARGETS}
    for kind in TARGETS:
        figures[kind] = {m: summary([of_one(kind, best[kind][m], m, s, options) for s in SEEDS]) for m in STARTS}
    task = Task(load_data("mnist", options.data))
    figures["starts"] = {m: starts_compared(m, best["paper"][m], options, task) for m in STARTS}
    settings = {
        m: {
            "training": e.training.to_dict(),
            "seeds": SEEDS,
            **{k: best[k][m].to_dict(minimal=True) for k in TARGETS},
        }
        for m, e in STARTS.items()
    }  # fmt: skip
    write(
        "deep-compression",
        "Files 40× and 39× smaller without loss for LeNet-300-100 and LeNet-5 (Han et al. 2016: 27 KB, 1.64 → 1.58 %; 44 KB, "
        "0.80 → 0.74 %), and 70× and 130× beyond the paper",
        settings,
        figures,
        checks_of(figures),
        notes=(
            "Bits, sparsities and learning rates were chosen on validation data: of the pipelines whose file is within the "
            "target the one of least error.",
            "The paper's bits, gaps and Huffman code, on networks pruned by LAMP while they are trained on, further than the 12× "
            "of the paper, whose thresholds in rounds are the method deep_compression.",
            "Starts of k-means are compared without tuning; at 4 bits of LeNet-300-100 they differ by less than seeds do.",
            "Three bits for LeNet-300-100's second layer were added when its file was known to be 146 bytes over the target.",
        ),
    )


if __name__ == "__main__":
    main()
