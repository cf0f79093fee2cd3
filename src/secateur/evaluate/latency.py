"""Latency of a model on the machine at hand."""

from __future__ import annotations

from torch import nn

from ..core.timing import Comparison, Latency, compare_latency
from ..graph.trace import ExampleInputs, call

__all__ = ["Comparison", "Latency", "compare_latency", "latency"]


def latency(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    threads: int | None = None,
    warmup: int = 3,
    seconds: float = 1.0,
    min_repeats: int = 10,
) -> Latency:
    """Time ``model(example_inputs)`` in evaluation and inference mode; modes and threads are put back.

    Args:
        model: any module, with its inputs on its device.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        threads: threads for one operation; by default torch's present number.
        warmup: calls before the clock starts.
        seconds: time after which no further call starts.
        min_repeats: calls timed however long they take.

    Raises:
        ModelError: an argument out of range.

    Example:
        >>> import torch
        >>> t = latency(nn.Linear(8, 8), torch.zeros(1, 8), threads=1, seconds=0.01)
        >>> t.threads, t.repeats >= 10, t.median_ms > 0
        (1, True, True)
    """
    tensor = next(iter([*model.parameters(), *model.buffers()]), None)
    device = "cpu" if tensor is None else tensor.device
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        candidate = {"model": lambda: call(model, example_inputs)}
        found = compare_latency(
            candidate, threads=threads, warmup=warmup, seconds=seconds, min_repeats=min_repeats, device=device
        )
        return found.latencies["model"]
    finally:
        for module, training in modes.items():
            module.training = training
