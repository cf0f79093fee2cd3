"""What runs are called in a report: by model and method, and by what sets them apart where those are the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from .experiment import Experiment

__all__ = ["Label", "labels"]


class Label(NamedTuple):
    """The names of one run's network and method."""

    model: str
    method: str


def labels(experiments: Sequence[Experiment], reached: Sequence[float | None] | None = None) -> list[Label]:
    """What each experiment's network and its method are called, in the order given.

    Networks that were trained differently are different networks, and a method that ran in two ways at the same compression
    and seed is two methods: their names say in what they differ, so that no mean is taken over both.

    Args:
        experiments: all that the report shows.
        reached: the compression of each, for those that name none themselves.

    Example:
        >>> some = [Experiment(method="random", method_arguments={"epochs": e}, compression=2) for e in (1.0, 5.0)]
        >>> [found.method for found in labels(some)]
        ['random, epochs 1', 'random, epochs 5']
    """
    ends = reached or [None] * len(experiments)
    pairs = [(e.task, e.model) for e in experiments]
    models = _apart([e.model for e in experiments], pairs, pairs, [_network(e) for e in experiments])
    names = [e.label for e in experiments]
    lines = [(e.task, m, n) for e, m, n in zip(experiments, models, names, strict=True)]
    places = [(line, e.compression or end, e.seed) for line, e, end in zip(lines, experiments, ends, strict=True)]
    methods = _apart(names, lines, places, [_pruning(e) for e in experiments])
    return [Label(*pair) for pair in zip(models, methods, strict=True)]


def _apart(
    names: Sequence[str], families: Sequence[Hashable], places: Sequence[Hashable], parts: Sequence[dict[str, Any]]
) -> list[str]:
    """Names with what sets a family's members apart that would stand in the same place.

    Args:
        names: plain names.
        families: what has one name so far.
        places: where there may be one of a family.
        parts: what may set them apart.
    """
    at: dict[Hashable, list[int]] = {}
    for i, place in enumerate(places):
        at.setdefault(place, []).append(i)
    varied: dict[Hashable, dict[str, None]] = {}
    for members in at.values():
        keys = dict.fromkeys(k for i in members for k in parts[i])
        found = [k for k in keys if len({repr(parts[i].get(k)) for i in members}) > 1]
        varied.setdefault(families[members[0]], {}).update(dict.fromkeys(found))
    out = []
    for name, family, mine in zip(names, families, parts, strict=True):
        apart = [k for k in varied[family] if k in mine]
        shown = [k for k in apart if k != "recipe"] or apart  # a recipe's id says least, and differs wherever anything does
        out.append(", ".join([name, *(f"{k.replace('_', ' ')} {_plain(mine[k])}" for k in shown)]))
    return out


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _network(e: Experiment) -> dict[str, Any]:
    """What decides the dense network, but for its seed."""
    options = {**dict(e.task_options), **dict(e.model_arguments)}
    return {**e.training.to_dict(), **options, "pretrained": e.pretrained}


def _pruning(e: Experiment) -> dict[str, Any]:
    """What decides how it is pruned, but for the method's name."""
    return {**dict(e.method_arguments), "start": e.start, "recipe": None if e.recipe is None else (e.pipeline or e.recipe).id}
