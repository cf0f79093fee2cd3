"""The figures of a finished network, by Blalock's definitions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import ModelError
from ..evaluate.counters import find_counter
from ..evaluate.definitions import compression_ratio, theoretical_speedup
from ..evaluate.energy import MODELLED, measured, modelled, stored_words, training_energy
from ..evaluate.latency import compare_latency
from ..evaluate.macs import count_macs
from ..training import Task

__all__ = ["check_result", "effective_macs", "figures", "macs_by_name"]

_NUMBER = (int, float)
_NEEDED: dict[str, Any] = {
    "id": str, "experiment": dict, "test": dict, "validation": dict, "parameters": int, "nonzero": int, "compression": _NUMBER,
    "dense_bytes": int, "file_bytes": int, "latency_ms": _NUMBER, "latency_threads": int, "dense_latency_ms": _NUMBER,
    "layers": list, "seconds": _NUMBER, "history": list, "environment": dict,
}  # fmt: skip
_MAY_BE_NULL: dict[str, Any] = {
    "test_before_recovery": dict, "dense_id": str, "dense_test": dict, "dense_validation": dict, "macs": int,
    "effective_macs": int, "speedup": _NUMBER, "macs_by_name": dict,
}  # fmt: skip
_LATER: dict[str, Any] = {  # what earlier releases did not write
    "kind": str, "values": int, "energy": dict, "measured_energy": dict, "cost": dict,
}  # fmt: skip


def figures(
    model: nn.Module,
    original: nn.Module,
    task: Task,
    weights: Path,
    *,
    before: dict[str, float] | None,
    dense: dict[str, Any] | None,
    steps: int | None,
    batch: int,
) -> dict[str, Any]:
    """Accuracy, sizes, multiply-adds, latency and energy of a network.

    Args:
        model: the network.
        original: the network before pruning, timed in turns with it.
        task: its task; the test split is used here and nowhere earlier.
        weights: its saved file.
        before: test figures right after pruning.
        dense: the dense network's result, whose multiply-adds a weight are reused.
        steps: optimizer steps of the run, if known.
        batch: examples a step.
    """
    model.eval()
    original.eval()
    parameters = dict(model.named_parameters())
    nonzero = {n: int((p != 0).sum()) for n, p in parameters.items()}
    total = sum(p.numel() for p in parameters.values())
    example = next(task.batches(task.data.test, 1))[0]
    per_weight, values = _traced(model, example, dense)
    macs = None if per_weight is None else sum(per_weight.values())
    sizes = {n: (nonzero[n], p.numel()) for n, p in parameters.items()}
    left = None if per_weight is None else effective_macs(per_weight, sizes)
    with torch.inference_mode():
        timed = compare_latency({"dense": lambda: original(example), "pruned": lambda: model(example)}, seconds=0.1).latencies
    return {
        "kind": task.kind,
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
        "values": values,
        "energy": _modelled((macs, left, values), [(p.numel(), nonzero[n]) for n, p in parameters.items()], steps, batch),
        "measured_energy": _measured(model, original, example),
        "dense_bytes": sum(p.numel() for p in parameters.values()) * 4,
        "file_bytes": weights.stat().st_size,
        "latency_ms": timed["pruned"].median_ms,
        "latency_threads": timed["pruned"].threads,
        "dense_latency_ms": timed["dense"].median_ms,
        "layers": [[n, p.numel(), nonzero[n]] for n, p in parameters.items()],
    }


def check_result(found: dict[str, Any]) -> str | None:
    """What is wrong with a result that was read from a file, or None."""
    for name, kind in {**_NEEDED, **_MAY_BE_NULL}.items():
        if name not in found:
            return f"it lacks {name!r}"
        value = found[name]
        if isinstance(value, kind) and not isinstance(value, bool):
            continue
        if value is not None or name in _NEEDED:
            return f"{name!r} is {value!r}"
    for name, kind in _LATER.items():
        if found.get(name) is not None and not isinstance(found[name], kind):
            return f"{name!r} is {found[name]!r}"
    for name in ("test", "validation", "test_before_recovery", "dense_test", "dense_validation"):
        figures = found[name]
        if figures is None:
            continue
        if not all(isinstance(figures.get(k), float | int) for k in ("top1", "loss")):
            return f"{name!r} lacks its figures"
        if not all(0 <= figures.get(k, 0.0) <= 1 for k in ("top1", "top5")):
            return f"{name!r} has an accuracy outside [0, 1]"
    memory, energy = (found.get("cost") or {}).get("memory"), found.get("energy") or {}
    if memory is not None and not (isinstance(memory, dict) and isinstance(memory.get("peak_bytes"), int)):
        return f"'cost' has the memory {memory!r}"
    if not all(v is None or isinstance(v, str if k == "how" else _NUMBER) for k, v in energy.items()):
        return f"'energy' is {energy!r}"
    whole = all(isinstance(x, list) and [type(v) for v in x] == [str, int, int] for x in found["layers"])
    return None if whole else "'layers' is not a list of name, total, non-zero"


def effective_macs(per_weight: Mapping[str, int], left: Mapping[str, tuple[int, int]]) -> int:
    """Multiply-adds that meet a weight that is left.

    Args:
        per_weight: the dense network's multiply-adds by parameter or operation.
        left: parameter name → how many of its entries are left, and of how many.

    Example:
        >>> effective_macs({"fc.weight": 100, "attention:matmul": 7}, {"fc.weight": (1, 4)})
        32
    """
    return sum(round(m * left[n][0] / left[n][1]) if n in left else m for n, m in per_weight.items())


def macs_by_name(model: nn.Module, example: Any) -> dict[str, int] | None:
    """Multiply-adds by parameter; None for a model that cannot be traced."""
    return _traced(model, example, None)[0]


def _traced(model: nn.Module, example: Any, dense: dict[str, Any] | None) -> tuple[dict[str, int] | None, int | None]:
    """Multiply-adds by parameter and activations moved, from the dense network's result where it has them."""
    if dense is not None and (dense["macs_by_name"] is None or dense.get("values") is not None):
        return dense["macs_by_name"], dense.get("values")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = count_macs(model, example)
    except ModelError:
        return None, None
    return {name: macs for name, (macs, _) in found.by_name().items()}, found.values


def _modelled(
    counted: tuple[int | None, int | None, int | None],
    tensors: list[tuple[int, int]],
    steps: int | None,
    batch: int,
) -> dict[str, Any] | None:
    """Joules of an inference, of the dense network's, and of the run's training, by the published prices."""
    macs, left, values = counted
    if macs is None or left is None or values is None:
        return None
    total = sum(n for n, _ in tensors)
    return {
        "how": MODELLED,
        "inference": modelled(left, stored_words(tensors), values).joules,
        "dense_inference": modelled(macs, total, values).joules,
        "training": None if steps is None else training_energy(macs, total, values, steps=steps, batch=batch),
    }


def _measured(model: nn.Module, original: nn.Module, example: Any) -> dict[str, Any] | None:
    """Joules of an inference as the machine counts them; None where it does not, or not finely enough."""
    counter = find_counter()
    if counter is None:
        return None
    try:
        joules, dense = (measured(m, example, counter) for m in (model, original))
    except ModelError:
        return None
    return {"how": counter.how, "inference": joules, "dense_inference": dense}
