"""What holds of every component, whatever its axis."""

from __future__ import annotations

import copy
import dataclasses as dc
import inspect
import json
import pickle
from functools import partial
from typing import Any

from ..core.component import Component, choices, choose, plain
from ..core.errors import RecipeError
from ..core.files import dump_yaml, parse_yaml
from .claim import claim, instance, refuses

__all__ = ["check_component"]


def check_component(given: type[Component] | Component) -> None:
    """A frozen, equal, hashable, picklable value with a file form, a docstring that shows its use, and checked parameters.

    Args:
        given: the component, or its class when its defaults make one.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.score import Magnitude
        >>> check_component(Magnitude(p=2))
    """
    component = instance(given, Component)
    cls = type(component)
    claim(choices(component.axis).get(component.name) is cls, component, f"is not the registered {component.axis} of its name")
    _check_value(component)
    _check_files(component)
    _check_docstring(cls)
    _check_parameters(component)


def _check_value(component: Component) -> None:
    refuses(dc.FrozenInstanceError, lambda: setattr(component, "anything", 1), component, "can be changed: use @component")
    claim(all(f.kw_only for f in dc.fields(component)), component, "has positional parameters: use @component")  # type: ignore[arg-type]
    try:
        pickled = pickle.loads(pickle.dumps(component))
    except (pickle.PicklingError, AttributeError) as e:
        raise AssertionError(f"{component!r} cannot be pickled ({e}): define its class at the top of a module") from e
    for other in (dc.replace(component), copy.deepcopy(component), pickled):  # type: ignore[type-var]
        claim(other == component and hash(other) == hash(component), component, "is not equal to its copy, or hashes differently")


def _check_files(component: Component) -> None:
    for minimal in (False, True):
        fields = component.to_dict(minimal=minimal)
        through = {
            "a dict": fields,
            "JSON": json.loads(json.dumps(fields)),
            "YAML": parse_yaml(dump_yaml(fields), "the component"),
        }
        for form, read in through.items():
            claim(choose(component.axis, read) == component, component, f"does not come back from {form}: {read}")


def _check_docstring(cls: type[Component]) -> None:
    text = inspect.getdoc(cls) or ""
    claim("Example:" in text and ">>>" in text, cls, "needs a docstring with an 'Example:' that runs (>>>)")
    names = [f.name for f in dc.fields(cls)]  # type: ignore[arg-type]
    missing = [n for n in names if f"    {n}: " not in text]
    claim(not missing, cls, f"does not describe {', '.join(missing)} under 'Args:'")


def _check_parameters(component: Component) -> None:
    refuses(
        RecipeError, lambda: choose(component.axis, {**component.to_dict(), "no_such_parameter": 1}), component,
        "accepts a parameter it does not have",
    )  # fmt: skip
    fields = {f.name: getattr(component, f.name) for f in dc.fields(component)}  # type: ignore[arg-type]
    for f in dc.fields(component):  # type: ignore[arg-type]
        for bad in (object(), *_outside(f, fields[f.name])):
            build = partial(type(component), **{**fields, f.name: bad})
            refuses(RecipeError, build, component, f"accepts {f.name}={bad!r}: __post_init__ calls super().__post_init__() first")


def _outside(field: dc.Field[Any], value: Any) -> list[Any]:
    """Values just outside the declared range, of the right type where the type is a number."""
    past = {"≥": -1, ">": 0, "≤": 1, "<": 0}
    bounds = field.metadata.get("bounds", {}).items()
    numbers = [bound + past[sign] for sign, bound in bounds]
    others = ["no such choice"] if field.metadata.get("among") else []
    if isinstance(plain(value), int | float):
        return numbers + others
    return others
