"""Latency on the machine at hand: warm, median, threads stated, candidates interleaved in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from .errors import ModelError

__all__ = ["Comparison", "Latency", "compare_latency"]


@dataclass(frozen=True)
class Latency:
    """How long one call takes.

    Attributes:
        median_ms: median over the repeats, milliseconds.
        iqr: distance between the quartiles, milliseconds.
        repeats: calls timed, after the warm-up.
        threads: threads that torch had for one operation.
        device: where the model ran.
    """

    median_ms: float
    iqr: float
    repeats: int
    threads: int
    device: str


@dataclass(frozen=True)
class Comparison:
    """Latencies of candidates that took turns in one run.

    Attributes:
        latencies: by name, in the order given; the first is the baseline.
        speedups: median of the baseline / median of the candidate.
    """

    latencies: dict[str, Latency]
    speedups: dict[str, float]


def compare_latency(
    candidates: Mapping[str, Callable[[], Any]],
    *,
    threads: int | None = None,
    warmup: int = 3,
    seconds: float = 1.0,
    min_repeats: int = 10,
    device: torch.device | str = "cpu",
) -> Comparison:
    """Time several calls in turns, so that whatever else the machine does meets them all alike.

    Args:
        candidates: calls without arguments by name; the first is the baseline. Models are to be in evaluation mode.
        threads: threads for one operation; by default torch's present number.
        warmup: rounds before the clock starts.
        seconds: time for each candidate after which no further round starts.
        min_repeats: rounds timed however long they take.
        device: where the candidates run; an accelerator is waited for after every call.

    Raises:
        ModelError: no candidate, or an argument out of range.

    Example:
        >>> x = torch.ones(64, 64)
        >>> found = compare_latency({"dense": lambda: x @ x @ x @ x, "none": lambda: x}, threads=1, seconds=0.01)
        >>> found.speedups["dense"], found.speedups["none"] > 1
        (1.0, True)
    """
    if not candidates:
        raise ModelError("compare_latency needs at least one candidate")
    if min_repeats < 1 or warmup < 0 or seconds < 0 or (threads is not None and threads < 1):
        given = f"{min_repeats}, {warmup}, {seconds}, {threads}"
        raise ModelError(f"latency needs min_repeats ≥ 1, warmup ≥ 0, seconds ≥ 0 and threads ≥ 1; got {given}")
    wait = _waiter(torch.device(device))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    with _threads(threads), torch.inference_mode():
        for _ in range(warmup):
            for f in candidates.values():
                f()
        wait()
        end = time.perf_counter() + seconds * len(candidates)
        rounds = 0
        while rounds < min_repeats or time.perf_counter() < end:
            for name, f in candidates.items():
                start = time.perf_counter()
                f()
                wait()
                times[name].append(time.perf_counter() - start)
            rounds += 1
        found = {name: _summary(t, torch.get_num_threads(), str(device)) for name, t in times.items()}
    base = next(iter(found.values())).median_ms
    return Comparison(found, {name: base / t.median_ms for name, t in found.items()})


def _summary(seconds: list[float], threads: int, device: str) -> Latency:
    quartiles = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [0.0, 0.0, 0.0]
    return Latency(1e3 * statistics.median(seconds), 1e3 * (quartiles[2] - quartiles[0]), len(seconds), threads, device)


def _waiter(device: torch.device) -> Callable[[], None]:
    if device.type in ("cpu", "meta"):
        return lambda: None
    return lambda: torch.accelerator.synchronize(device)


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if n is not None:
            torch.set_num_threads(n)
        yield
    finally:
        torch.set_num_threads(before)
