"""What runs are called in a report: by model and method, and by what sets them apart where those are the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from .experiment import Experiment

__all__ = ["Label", "labels"]


class Label(NamedTuple):
    """The names of one run's network and method."""

    model: str
    method: str


def labels(experiments: Iterable[Experiment], reached: Mapping[str, float] | None = None) -> dict[str, Label]:
    """By the id of each experiment, what its network and its method are called.

    Networks that were trained differently are different networks, and a method that ran in two ways at the same compression
    and seed is two methods: their names say in what they differ, so that no mean is taken over both.

    Args:
        experiments: all that the report shows.
        reached: compression by id, of those that name none themselves.

    Example:
        >>> some = [Experiment(method="random", method_arguments={"epochs": e}, compression=2) for e in (1.0, 5.0)]
        >>> [found.method for found in labels(some).values()]
        ['random, epochs 1', 'random, epochs 5']
    """
    some = list({e.id: e for e in experiments}.values())
    models = _apart(some, lambda e: (e.task, e.model), _network, lambda e: e.model)

    def place(e: Experiment) -> Hashable:
        return e.task, models[e.id], _method(e), e.compression or (reached or {}).get(e.id), e.seed

    methods = _apart(some, place, _pruning, _method)
    return {e.id: Label(models[e.id], methods[e.id]) for e in some}


def _apart(
    some: list[Experiment],
    group: Callable[[Experiment], Hashable],
    parts: Callable[[Experiment], dict[str, Any]],
    name: Callable[[Experiment], str],
) -> dict[str, str]:
    """Names, with the parts that vary inside a group."""
    groups: dict[Hashable, list[tuple[Experiment, dict[str, Any]]]] = {}
    for e in some:
        groups.setdefault(group(e), []).append((e, parts(e)))
    out = {}
    for members in groups.values():
        varied = [k for k in dict.fromkeys(k for _, p in members for k in p) if len({repr(p.get(k)) for _, p in members}) > 1]
        varied = [k for k in varied if k != "recipe"] or varied  # its id says least, and differs wherever anything does
        for e, p in members:
            said = [f"{k.replace('_', ' ')} {_plain(p[k])}" for k in varied if k in p]
            out[e.id] = ", ".join([name(e), *said])
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


def _method(e: Experiment) -> str:
    if e.recipe is None:
        return "dense"
    stages = e.pipeline
    name = e.method or (f"recipe {e.recipe.id}" if stages is None else f"pipeline {stages.id}")
    return name if e.control is None else f"{name}, {e.control}"
