"""Tracing and groups alone: a few units of every group tried on numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from secateur.graph.check import Oracle
from secateur.graph.groups import find_groups

from .catalog import Entry, find
from .check import SENSITIVE, Failed, dense, held, inputs, sensitivity, step
from .double import double_copy
from .run import SECONDS, context, limited


def report(chosen: Sequence[Entry], jobs: int) -> None:
    """One line a model."""
    from concurrent.futures import ThreadPoolExecutor

    server = context()
    with ThreadPoolExecutor(jobs) as pool:
        for entry, (found, died) in zip(
            chosen, pool.map(lambda e: limited(server, survey, str(e), seconds=SECONDS), chosen), strict=True
        ):
            print(entry, "|", found or died, flush=True)


def survey(name: str, _: Any = None) -> str:
    """What became of one model."""
    entry = find([name])[0]
    try:
        return _survey(entry)
    except Failed as e:
        return f"{e.verdict}: {e.detail}"


def _survey(entry: Entry) -> str:
    model: Any = step("does not run", lambda: dense(entry))
    x, _ = step("does not run", lambda: inputs(entry, model))
    twin = double_copy(model)
    dependence = step("does not run", lambda: sensitivity(entry, twin))
    if dependence < SENSITIVE:
        raise Failed("insensitive", f"{dependence:.1e}")
    started = time.perf_counter()
    groups = step("untraceable", lambda: find_groups(model, x))
    seconds = time.perf_counter() - started
    oracle = step("no oracle", lambda: Oracle(model, x))
    wrong, tried = [], 0
    started = time.perf_counter()
    some = groups.prunable
    for group in some[:: max(len(some) // 8, 1)]:
        if time.perf_counter() - started > 15:
            break
        trial = step("no oracle", lambda group=group: oracle.zero_equals_cut(group, group.units // 2))
        tried += 1
        if trial.error > 1e-10 or (not group.leaks and trial.alone > 1e-10) or trial.missed:
            wrong.append(f"{group}: {trial}")
    ok = "ok" if not wrong else "WRONG " + " || ".join(wrong[:3])
    return (
        f"{ok} {len(groups.prunable)}/{len(groups)} groups, {tried} tried, {seconds:.1f} s, sensitivity {dependence:.1e} "
        f"| {held(groups, {})}"
    )
