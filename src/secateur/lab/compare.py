"""From a grid of methods × compressions × seeds to the report's comparison."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.environment import environment
from ..core.errors import SecateurError
from ..evaluate.report import Comparison, Layer, MaskPicture, Point, Published
from ..methods import METHODS
from .beside import beside_dense
from .experiment import Experiment
from .labels import Label, labels
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


def comparison(
    outcomes: Sequence[Outcome],
    root: str | Path | Mapping[str, Path],
    *,
    title: str,
    notes: Sequence[str] = (),
    published: Sequence[Published] = (),
    left_out: Sequence[str] = (),
) -> Comparison:
    """What the report shows of a set of runs.

    Args:
        outcomes: of the runs, dense ones included.
        root: folder of all runs, for the pictures of masks; or the folder of each run by its id.
        title: heading.
        notes: sentences for the reader.
        published: results to lay over the curves.
        left_out: a sentence for every run that could not be read.
    """
    outcomes = beside_dense(outcomes)
    reached = [None if o.result is None else float(o.result["compression"]) for o in outcomes]
    named = labels([o.experiment for o in outcomes], reached)
    both = list(zip(outcomes, named, strict=True))
    settings = {n.model: o.experiment.training.to_dict() for o, n in both}
    pruned = [(o, n) for o, n in both if o.experiment.recipe is not None]
    said = [(n.method, o.experiment.pipeline or o.experiment.recipe) for o, n in pruned]
    return Comparison(
        title=title,
        points=_with_energy(both),
        recipes={method: recipe.to_dict() for method, recipe in said if recipe is not None},
        environment=_where([o.result["environment"] for o in outcomes if o.result is not None]),
        settings=settings,
        mask_pictures=tuple(_pictures(pruned, root)),
        notes=tuple(notes),
        published=tuple(published),
        left_out=tuple(left_out),
    )


def _where(environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where the runs ran, which need not be here; several values where they differ."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for e in environments for name in e):
        values = list(dict.fromkeys(e.get(name) for e in environments))
        found[name] = values[0] if len(values) == 1 else sorted(map(str, values))
    return found or environment()


def _with_energy(outcomes: Sequence[tuple[Outcome, Label]]) -> tuple[Point, ...]:
    """The points, their joules all counted in one way: by the machine where it did for every run, else by the model."""
    done = [o.result for o, _ in outcomes if o.result is not None]
    inference = _chosen([(r.get("measured_energy"), r.get("energy")) for r in done], "inference")
    training = _chosen([(r.get("cost"), r.get("energy")) for r in done], "joules", "training")
    joules = iter(zip(inference, training, strict=True))
    points = []
    for (outcome, label), target in zip(outcomes, _targets(outcomes), strict=True):
        point = _point(outcome, label, target)
        if outcome.result is not None:
            (i, t) = next(joules)
            point = dc.replace(
                point, inference_joules=i.get("inference"), dense_inference_joules=i.get("dense_inference"),
                inference_energy=i.get("how"), training_joules=t.get("joules", t.get("training")), training_energy=t.get("how"),
            )  # fmt: skip
        points.append(point)
    return tuple(points)


def _chosen(pairs: list[tuple[dict[str, Any] | None, dict[str, Any] | None]], *names: str) -> list[dict[str, Any]]:
    """Of every pair (measured, modelled) the same side, for figures counted in two ways do not compare."""
    measured = [m if m is not None and m.get(names[0]) is not None else None for m, _ in pairs]
    if all(m is not None and m["how"] == (pairs[0][0] or {})["how"] for m in measured):
        return [m or {} for m in measured]
    return [m if m is not None and m.get(names[-1]) is not None else {} for _, m in pairs]


_NEAR = 1.02  # compressions of one recipe with several seeds that lie so close are one point of its curve


def _targets(outcomes: Sequence[tuple[Outcome, Label]]) -> list[float]:
    """The compressions that were asked for; where none was, what was reached, one for runs of a label that lie close."""
    found: list[float] = []
    reached: dict[tuple[str, Label], list[int]] = {}
    for i, (o, label) in enumerate(outcomes):
        r, asked = o.result, o.experiment.compression
        dense = o.experiment.recipe is None or r is None
        found.append(asked or (1.0 if dense or r is None else min(r["compression"], float(r["parameters"]))))  # none left: inf
        if not (asked or dense):
            reached.setdefault((o.experiment.task, label), []).append(i)
    for runs in reached.values():
        first = 0.0
        for i in sorted(runs, key=lambda i: found[i]):
            first = first if found[i] <= _NEAR * first else found[i]
            found[i] = first
    return found


def _point(outcome: Outcome, named: Label, target: float) -> Point:
    e, r = outcome.experiment, outcome.result
    name = named.method
    base: dict[str, Any] = {
        "task": e.task, "model": named.model, "method": name, "seed": e.seed, "id": e.id,
        "target_compression": target,
        "control": name == "dense" or e.control is not None or (e.method in METHODS and METHODS[e.method].control),
    }  # fmt: skip
    if r is None:
        return Point(**base, error=outcome.error)
    dense = r["dense_test"] or (r["test"] if e.recipe is None else None)
    cost = r.get("cost") or {}
    memory = cost.get("memory") or {}
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
        kind=r.get("kind"),
        loss=r["test"]["loss"],
        dense_loss=None if dense is None else dense["loss"],
        peak_bytes=memory.get("peak_bytes"),
        peak_memory=memory.get("how"),
        steps=cost.get("steps"),
        dense_id=r["dense_id"],
        layers=tuple(Layer(*x) for x in r["layers"]),
    )


def _pictures(outcomes: Sequence[tuple[Outcome, Label]], root: str | Path | Mapping[str, Path]) -> Iterable[MaskPicture]:
    """Where the first layer's weights survive, for networks whose first layer sees the picture's pixels one by one."""
    seed = min((o.experiment.seed for o, _ in outcomes), default=0)
    without: set[tuple[str, str]] = set()  # networks whose first layer is no such, which need no second look
    for o, named in outcomes:
        pair = (o.experiment.task, o.experiment.model)
        if o.result is None or o.experiment.seed != seed or o.experiment.compression != 8 or pair in without:
            continue
        try:
            folder = root[o.experiment.id] if isinstance(root, Mapping) else root
            first = next(p for p in load_model(o.experiment, folder).parameters() if p.ndim > 1)
        except SecateurError:
            continue
        if first.ndim != 2:
            without.add(pair)
        side = round(first.shape[1] ** 0.5)
        if first.ndim == 2 and side > 1 and side * side == first.shape[1]:
            density = (first != 0).float().mean(0).view(side, side)
            values = tuple(tuple(round(float(v), 4) for v in row) for row in density)
            yield MaskPicture(
                task=o.experiment.task, model=named.model, method=named.method,
                values=values, compression=o.result["compression"],
            )  # fmt: skip
