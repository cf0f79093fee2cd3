"""From a grid of methods × compressions × seeds to the report's comparison."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.environment import environment
from ..core.errors import SecateurError
from ..evaluate.report import Comparison, Layer, MaskPicture, Point
from ..methods import METHODS
from .experiment import Experiment
from .pool import Outcome
from .run import load_model

__all__ = ["comparison", "grid"]


def grid(
    start: Experiment,
    methods: Mapping[str, Mapping[str, Any]],
    compressions: Iterable[float],
    seeds: Iterable[int],
    controls: Iterable[str] = (),
) -> list[Experiment]:
    """Every method at every compression with every seed, all from the same dense network of that seed.

    Args:
        start: the dense experiment.
        methods: name of a method → its arguments.
        compressions: parameters / non-zero parameters.
        seeds: seeds of the dense networks.
        controls: of each of these networks, ``scratch_e`` and the like.

    Example:
        >>> len(grid(Experiment(), {"global_magnitude": {}, "random": {}}, (2, 4, 8), (0, 1)))
        12
        >>> [e.control for e in grid(Experiment(), {"random": {}}, (2,), (0,), controls=("scratch_e",))]
        [None, 'scratch_e']
    """
    kinds = (None, *controls)
    return [
        dc.replace(start, method=name, method_arguments=tuple(arguments.items()), compression=float(c), seed=seed, control=kind)
        for seed in seeds
        for name, arguments in methods.items()
        for c in compressions
        for kind in kinds
    ]


def comparison(outcomes: Sequence[Outcome], root: str | Path, *, title: str, notes: Sequence[str] = ()) -> Comparison:
    """What the report shows of a set of runs.

    Args:
        outcomes: of the runs, dense ones included.
        root: folder of all runs, for the pictures of masks.
        title: heading.
        notes: sentences for the reader.
    """
    pruned = [o for o in outcomes if o.experiment.recipe is not None]
    settings = {o.experiment.model: o.experiment.training.to_dict() for o in outcomes}
    return Comparison(
        title=title,
        points=tuple(_point(o) for o in outcomes),
        recipes={
            _name(e): said.to_dict() for e in (o.experiment for o in pruned) if (said := e.pipeline or e.recipe) is not None
        },
        environment=environment(),
        settings=settings,
        mask_pictures=tuple(_pictures(pruned, root)),
        notes=tuple(notes),
    )


def _name(experiment: Experiment) -> str:
    if experiment.recipe is None:
        return "dense"
    stages = experiment.pipeline
    name = experiment.method or (f"recipe {experiment.recipe.id}" if stages is None else f"pipeline {stages.id}")
    return name if experiment.control is None else f"{name}, {experiment.control}"


def _point(outcome: Outcome) -> Point:
    e, r = outcome.experiment, outcome.result
    name = _name(e)
    base: dict[str, Any] = {
        "task": e.task, "model": e.model, "method": name, "seed": e.seed, "id": e.id,
        "target_compression": e.compression or (1.0 if e.recipe is None or r is None else r["compression"]),
        "control": name == "dense" or e.control is not None or (name in METHODS and METHODS[name].control),
    }  # fmt: skip
    if r is None:
        return Point(**base, error=outcome.error)
    dense = r["dense_test"] or (r["test"] if e.recipe is None else None)
    return Point(
        **base,
        compression=r["compression"],
        speedup=r["speedup"],
        top1=r["test"]["top1"],
        top5=r["test"].get("top5"),
        validation_change=None if r["dense_validation"] is None else r["validation"]["top1"] - r["dense_validation"]["top1"],
        dense_top1=None if dense is None else dense["top1"],
        top1_before=None if r["test_before_recovery"] is None else r["test_before_recovery"]["top1"],
        file_bytes=r["file_bytes"],
        dense_bytes=r["dense_bytes"],
        latency_ms=r["latency_ms"],
        dense_latency_ms=r["dense_latency_ms"],
        seconds=r["seconds"],
        layers=tuple(Layer(*x) for x in r["layers"]),
    )


def _pictures(outcomes: Sequence[Outcome], root: str | Path) -> Iterable[MaskPicture]:
    """Where the first layer's weights survive, for networks whose first layer sees the picture's pixels one by one."""
    seed = min((o.experiment.seed for o in outcomes), default=0)
    for o in outcomes:
        if o.result is None or o.experiment.seed != seed or o.experiment.compression != 8:
            continue
        try:
            first = next(p for p in load_model(o.experiment, root).parameters() if p.ndim > 1)
        except SecateurError:
            continue
        side = round(first.shape[1] ** 0.5)
        if first.ndim == 2 and side > 1 and side * side == first.shape[1]:
            density = (first != 0).float().mean(0).view(side, side)
            values = tuple(tuple(round(float(v), 4) for v in row) for row in density)
            yield MaskPicture(
                task=o.experiment.task, model=o.experiment.model, method=_name(o.experiment),
                values=values, compression=o.result["compression"],
            )  # fmt: skip
