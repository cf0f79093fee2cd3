"""Tile shapes by measurement: every layer's candidates take turns on the machine at hand, within a budget."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from . import cache
from .choose import candidates, layer, possible
from .graph import Op
from .kernels.common import HEADER
from .kernels.spmm.steps import Choice, matrix
from .plan import Plan, Step
from .pool import run_one
from .report import Layer
from .workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from .compiled import Compiled

__all__ = ["alone", "scratch", "timed", "trial", "tune"]

_ROUNDS = 5
_SLOWER = 1.3  # a candidate that is so much slower in its first run is not run again


def tune(
    plan: Plan, threads: int, seconds: float, given: Mapping[str, tuple[Choice, str]] | None = None
) -> dict[str, tuple[Choice, str]]:
    """The quickest candidate of every layer of a plan, and why.

    Args:
        plan: laid out, with any choice.
        threads: that will share the work; each candidate is timed on one.
        seconds: after which the layers that are left keep their rule's choice.
        given: choices that need no trial, where they fit the layer.
    """
    workspace = scratch(plan)
    end = time.perf_counter() + seconds
    found: dict[str, tuple[Choice, str]] = {}
    known: dict[str, tuple[Choice, str]] = {}
    for op in plan.layout.ops:
        if op.kind != "conv":
            continue
        if given and op.name in given and possible(plan.layout, op, given[op.name][0], threads):
            found[op.name] = given[op.name]
            continue
        key = _key(plan, op, threads)
        pick = known.get(key) or _kept(key)
        if pick is None and time.perf_counter() < end:
            pick = _best(plan, op, threads, workspace)
            cache.keep(key, json.dumps([pick[0].to_list(), pick[1]]).encode())
        if pick is not None:
            found[op.name] = known[key] = pick
    return found


def trial(plan: Plan, op: Op, ways: list[Choice], workspace: Workspace) -> dict[Choice, float]:
    """Seconds that each way to compute a layer takes, on one thread; those that are far behind are not run again."""
    times = dict.fromkeys(ways, float("inf"))
    steps = {c: layer(plan.layout, op, c) for c in ways}
    for turn in range(_ROUNDS):
        for c in ways:
            if turn == 0 or times[c] < _SLOWER * min(times.values()):
                times[c] = min(times[c], sum(_clock(s, workspace) for s in steps[c]))
    return times


def _best(plan: Plan, op: Op, threads: int, workspace: Workspace) -> tuple[Choice, str]:
    times = trial(plan, op, candidates(plan.layout, op, threads), workspace)
    best = min(times, key=lambda c: times[c])
    sparsity = 1 - np.count_nonzero(matrix(op)) / max(matrix(op).size, 1)
    others: dict[str, float] = {}
    for c, t in times.items():
        if c.kind != best.kind:
            others[c.kind] = min(t, others.get(c.kind, t))
    if not others:
        return best, f"at {sparsity:.0%} sparsity {best.kind} without a trial"
    told = ", ".join(f"{kind} took {1e3 * t:.2f} ms" for kind, t in others.items())
    return best, f"{1e3 * times[best]:.2f} ms; {told}"


def _clock(step: Step, workspace: Workspace) -> float:
    """Seconds of one step: the best of a few runs in a row, on one thread."""
    best, spent = float("inf"), 0.0
    for _ in range(3):
        start = time.perf_counter()
        run_one(step, workspace)
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
        if spent > 0.02:
            break
    return best


def timed(plan: Plan) -> list[Layer]:
    """Every operation of a plan with its time on one thread, in memory of its own."""
    workspace = scratch(plan)
    found: list[Layer] = []
    for op in plan.layout.ops:
        steps = [s for s in plan.steps if s.op is op or (s.op.name == op.name)]
        place = plan.layout.places.get(op.name) or plan.layout.places[op.inputs[0]]
        took = 1e3 * sum(_clock(s, workspace) for s in steps)
        layout = f"{'panels' if place.panels else 'planes'} of {place.space.tiles} tiles of {place.space.vectors} vectors"
        found.append(Layer(op.label or op.name, steps[0].kernel, layout, steps[0].sparsity, took, steps[0].why))
    return found


def alone(fast: Compiled, x: Tensor) -> Callable[[], None]:
    """The one layer with weights of a compiled model as a call of its own, on values that already lie as kernels read them.

    Args:
        fast: a compiled model.
        x: its input.
    """
    plan = next(fast.plan(i, p, len(x), fast.threads) for i, p in fast.segments())
    step, workspace = next(s for s in plan.steps if s.sparsity is not None), scratch(plan)
    return lambda: run_one(step, workspace)


def scratch(plan: Plan) -> Workspace:
    """A workspace of noise, with room behind it for the tensors outside."""
    workspace = Workspace(plan.layout, 1)
    floats = workspace.floats
    floats[HEADER * 2 :] = np.random.default_rng(0).standard_normal(len(floats) - HEADER * 2, np.float32)
    sizes = [f.channels * f.height * f.width for f in map(plan.layout.outside, plan.layout.slots)]
    workspace.hold([np.zeros(n, np.float32) for n in sizes])
    return workspace


def _key(plan: Plan, op: Op, threads: int) -> str:
    """What a choice depends on."""
    w, layout = matrix(op), plan.layout
    places = [(p.space, p.panels) for p in (layout.places[n] for n in (*op.inputs, op.name))]
    settings = {k: v for k, v in op.settings.items() if k != "range"}
    text = repr(
        (
            layout.cpu,
            layout.target.width,
            w.shape,
            np.count_nonzero(w),
            [str(c) for c in candidates(layout, op, threads)],
            places,
            settings,
            threads,
        )
    )
    return hashlib.sha256(text.encode()).hexdigest() + "-choice-3"


def _kept(key: str) -> tuple[Choice, str] | None:
    data = cache.fetch(key)
    if data is None:
        return None
    numbers, why = json.loads(data)
    return Choice.of(numbers), why
