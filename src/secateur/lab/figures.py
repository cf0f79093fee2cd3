"""The figures of a finished network, by Blalock's definitions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..evaluate.definitions import compression_ratio, theoretical_speedup
from ..evaluate.latency import compare_latency
from ..evaluate.macs import count_macs
from ..training import Task

__all__ = ["figures"]


def figures(
    model: nn.Module,
    original: nn.Module,
    task: Task,
    weights: Path,
    *,
    before: dict[str, float] | None,
    dense: dict[str, Any] | None,
) -> dict[str, Any]:
    """Accuracy, sizes, multiply-adds and latency of a network.

    Args:
        model: the network.
        original: the network before pruning, timed in turns with it.
        task: its task; the test split is used here and nowhere earlier.
        weights: its saved file.
        before: test figures right after pruning.
        dense: the dense network's result, whose multiply-adds a weight are reused.
    """
    model.eval()
    original.eval()
    parameters = dict(model.named_parameters())
    nonzero = {n: int((p != 0).sum()) for n, p in parameters.items()}
    total = sum(p.numel() for p in parameters.values())
    example = next(task.batches(task.data.test, 1))[0]
    per_weight = dense["macs_by_name"] if dense is not None else _macs(model, example)
    macs = None if per_weight is None else sum(per_weight.values())
    left = None
    if per_weight is not None:
        left = sum(round(m * nonzero[n] / parameters[n].numel()) if n in parameters else m for n, m in per_weight.items())
    with torch.inference_mode():
        timed = compare_latency({"dense": lambda: original(example), "pruned": lambda: model(example)}, seconds=0.1).latencies
    return {
        "test": task.evaluate(model, task.data.test),
        "validation": task.evaluate(model, task.data.validation),
        "test_before_recovery": before,
        "dense_id": None if dense is None else dense["id"],
        "dense_test": None if dense is None else dense["test"],
        "dense_validation": None if dense is None else dense["validation"],
        "parameters": total,
        "nonzero": sum(nonzero.values()),
        "compression": compression_ratio(total, sum(nonzero.values())),
        "macs": macs,
        "effective_macs": left,
        "speedup": None if not left or macs is None else theoretical_speedup(macs, left),
        "macs_by_name": per_weight,
        "dense_bytes": sum(p.numel() for p in parameters.values()) * 4,
        "file_bytes": weights.stat().st_size,
        "latency_ms": timed["pruned"].median_ms,
        "latency_threads": timed["pruned"].threads,
        "dense_latency_ms": timed["dense"].median_ms,
        "layers": [[n, p.numel(), nonzero[n]] for n, p in parameters.items()],
    }


def _macs(model: nn.Module, example: Any) -> dict[str, int] | None:
    """Multiply-adds by parameter; None for a model that cannot be traced."""
    from ..core.errors import ModelError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: dense for name, (dense, _) in count_macs(model, example).by_name().items()}
    except ModelError:
        return None
