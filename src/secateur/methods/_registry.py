"""The published methods by name: each a function that returns a recipe or a pipeline, with its paper and its claim."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, get_type_hints

from ..core.component import coerce
from ..core.errors import RecipeError, did_you_mean
from ..pipeline import Pipeline
from ..recipe import Recipe

__all__ = ["METHODS", "Method", "make", "method"]

METHODS: dict[str, Method] = {}
P = ParamSpec("P")
R = TypeVar("R", Recipe, Pipeline)


@dataclass(frozen=True)
class Method:
    """A published method.

    Args:
        name: the function's name.
        build: the function, whose keyword arguments are the method's own.
        paper: authors, title, year.
        source: arXiv number or address.
        claim: what the paper says it does, in one sentence.
        results: files under ``benchmarks/results`` with our reproductions, the main one first.
        control: whether it is there to be beaten.
        start: the network it prunes in a comparison: a trained ``dense`` one, or the ``initial`` one.
    """

    name: str
    build: Callable[..., Recipe | Pipeline]
    paper: str
    source: str
    claim: str
    results: tuple[str, ...] = ()
    control: bool = False
    start: str = "dense"

    def recipe(self) -> Recipe:
        """How it prunes by default; of a pipeline, its first stage."""
        made = self.build()
        return made.prune if isinstance(made, Pipeline) else made

    @property
    def then(self) -> str:
        """What follows in a pipeline, to be put after the five words."""
        return " → share → code" if isinstance(self.build(), Pipeline) else ""

    def axes(self) -> dict[str, str]:
        """The five words of its default recipe."""
        recipe = self.recipe()
        return {a: getattr(recipe, a).name for a in ("structure", "score", "allocation", "schedule", "recovery")}


def method(
    *, paper: str, source: str, claim: str, results: tuple[str, ...] = (), control: bool = False, start: str = "dense"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a function that returns a recipe or a pipeline under its own name."""

    def register(build: Callable[P, R]) -> Callable[P, R]:
        name = build.__name__
        METHODS[name] = Method(
            name=name, build=build, paper=paper, source=source, claim=claim, results=results, control=control, start=start
        )
        return build

    return register


def make(name: str, /, **arguments: Any) -> Recipe | Pipeline:
    """The recipe of a method, or its pipeline.

    Args:
        name: a name in ``METHODS``.
        arguments: the method's own arguments.

    Raises:
        RecipeError: unknown method or argument, wrong type or range.

    Example:
        >>> make("global_magnitude", sparsity=0.8).schedule.final
        0.8
    """
    if name not in METHODS:
        raise RecipeError(f"unknown method {name!r}; {did_you_mean(name, METHODS)}")
    build = METHODS[name].build
    accepted, hints = list(inspect.signature(build).parameters), get_type_hints(build)
    for key in arguments:
        if key not in accepted:
            raise RecipeError(f"method {name!r} has no argument {key!r}; it has {', '.join(map(repr, accepted))}")
    return build(**{k: coerce(v, hints.get(k, Any), f"method {name!r}: {k}") for k, v in arguments.items()})
