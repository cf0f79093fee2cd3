"""The registry of axis choices: defining a class registers it, its fields are its parameters, its file form follows."""

from __future__ import annotations

import dataclasses as dc
import math
import numbers
import re
import types
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from typing_extensions import dataclass_transform

from .errors import RecipeError, did_you_mean

__all__ = ["AXES", "Component", "choices", "choose", "component", "param", "read_form"]

AXES = ("structure", "score", "allocation", "schedule", "recovery")
T = TypeVar("T")
_REGISTRY: dict[str, dict[str, type[Component]]] = {}


def param(default: Any = dc.MISSING, *, ge: float | None = None, gt: float | None = None, le: float | None = None,
          lt: float | None = None, among: tuple[Any, ...] | None = None) -> Any:  # fmt: skip
    """A parameter with its admissible range, checked when the component is built.

    Args:
        default: value when not given; without one the parameter is required.
        ge: least value admitted.
        gt: greatest value not admitted from below.
        le: greatest value admitted.
        lt: least value not admitted from above.
        among: the admitted values, when they are few.
    """
    bounds = {"≥": ge, ">": gt, "≤": le, "<": lt}
    return dc.field(default=default, metadata={"bounds": {k: v for k, v in bounds.items() if v is not None}, "among": among})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(param,))
def component(cls: type[T]) -> type[T]:
    """The decorator of every axis choice: a frozen, keyword-only dataclass."""
    return dc.dataclass(frozen=True, kw_only=True)(cls)


class Component:
    """One choice on one axis: a frozen value that is equal, hashable, picklable and has a file form.

    An axis base class names its axis in the class statement; every other subclass registers itself under the
    snake-case form of its own name, so that a new choice costs one file and no second list.

    Example:
        >>> from secateur.score import Magnitude
        >>> Magnitude(p=2).to_dict()
        {'name': 'magnitude', 'p': 2.0, 'penalty': 0.0}
        >>> Magnitude(p=-1)
        Traceback (most recent call last):
        ...
        secateur.core.errors.RecipeError: score 'magnitude': p must be > 0; got -1
    """

    axis: ClassVar[str]
    name: ClassVar[str]

    def __init_subclass__(cls, *, axis: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if axis is not None:
            cls.axis = axis
            _REGISTRY.setdefault(axis, {})
            return
        cls.name = snake(cls.__name__)
        known = _REGISTRY[cls.axis].get(cls.name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"{cls.axis} {cls.name!r} is already registered by {known.__module__}.{known.__qualname__}")
        _REGISTRY[cls.axis][cls.name] = cls

    def __post_init__(self) -> None:
        hints = _hints(type(self))  # type: ignore[arg-type]  # a class hashes
        for f in dc.fields(self):  # type: ignore[arg-type]
            value = coerce(getattr(self, f.name), hints[f.name], f"{self.axis} {self.name!r}: {f.name}")
            check_bounds(value, f.metadata, f"{self.axis} {self.name!r}: {f.name}")
            object.__setattr__(self, f.name, value)

    def conflict(self, other: Component) -> str | None:
        """Why this choice does not go together with a choice on another axis, or None when it does."""
        return None

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field, or (``minimal``, for hashes) only those that differ from their default."""
        fields = [f for f in dc.fields(self) if not (minimal and getattr(self, f.name) == f.default)]  # type: ignore[arg-type]
        return {"name": self.name, **{f.name: plain(getattr(self, f.name)) for f in fields}}


def snake(name: str) -> str:
    """The registered name of a class name: ``StdThreshold`` → ``std_threshold``, ``NM`` → ``nm``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def coerce(value: Any, hint: Any, what: str) -> Any:
    """The value as its annotation wants it (lists become tuples, mappings pairs, ints floats), or a RecipeError."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return coerce(value, next(a for a in args if a is not type(None)), what)
    if origin is tuple:
        items = list(value.items()) if isinstance(value, Mapping) else value
        if not isinstance(items, list | tuple):
            raise RecipeError(f"{what} must be a list; got {value!r}")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(coerce(v, args[0], f"{what}[{i}]") for i, v in enumerate(items))
        if len(items) != len(args):
            raise RecipeError(f"{what} must be a list of {len(args)}; got {value!r}")
        return tuple(coerce(v, a, f"{what}[{i}]") for i, (v, a) in enumerate(zip(items, args, strict=True)))
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise RecipeError(f"{what} must be a finite number; got {value!r}")
        return float(value)
    if hint is str and isinstance(value, str):
        return value
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise RecipeError(f"{what} must be {kinds.get(hint, getattr(hint, '__name__', hint))}; got {value!r}")


def check_bounds(value: Any, metadata: Mapping[str, Any], what: str) -> None:
    """Refuse a value outside the range its ``param`` declares."""
    if value is None:
        return
    holds = {"≥": lambda v, b: v >= b, ">": lambda v, b: v > b, "≤": lambda v, b: v <= b, "<": lambda v, b: v < b}
    bounds = metadata.get("bounds", {})
    for v in value if isinstance(value, tuple) else (value,):
        number = v[-1] if isinstance(v, tuple) else v
        if not all(holds[sign](number, bound) for sign, bound in bounds.items()):
            raise RecipeError(f"{what} must be {' and '.join(f'{s} {b:g}' for s, b in bounds.items())}; got {number:g}")
    among = metadata.get("among")
    if among is not None and value not in among:
        raise RecipeError(f"{what} must be one of {', '.join(map(str, among))}; got {value!r}")


def plain(value: Any) -> Any:
    """A field's value as YAML and JSON have it: named pairs as a mapping, tuples as lists."""
    if isinstance(value, tuple):
        if value and all(isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value):
            return {k: plain(v) for k, v in value}
        return [plain(v) for v in value]
    return value


@cache
def _load_plugins() -> None:
    for point in entry_points(group="secateur.components"):
        point.load()


def choices(axis: str) -> dict[str, type[Component]]:
    """The registered choices of an axis by name, those of installed plugins included.

    Example:
        >>> import secateur
        >>> "magnitude" in choices("score")
        True
    """
    for a in AXES:
        __import__(f"secateur.{a}")
    _load_plugins()
    return dict(sorted(_REGISTRY[axis].items()))


def choose(axis: str, given: str | Mapping[str, Any]) -> Component:
    """The component a file names: ``"magnitude"`` or ``{"name": "magnitude", "p": 2}``.

    Raises:
        RecipeError: unknown name or parameter, missing parameter, wrong type or range.
    """
    known = choices(axis)
    fields = {"name": given} if isinstance(given, str) else given
    if not isinstance(fields, Mapping) or "name" not in fields:
        raise RecipeError(f"{axis} must be a name or a mapping with a 'name'; got {given!r}; known: {', '.join(known)}")
    name = fields["name"]
    if not isinstance(name, str) or name not in known:
        raise RecipeError(f"unknown {axis} {name!r}; {did_you_mean(name, known)}")
    made: Component = build(known[name], {k: v for k, v in fields.items() if k != "name"}, f"{axis} {name!r}")
    return made


def build(cls: type[Any], fields: Mapping[str, Any], what: str) -> Any:
    """A dataclass from a mapping, with the one error sentence for unknown and missing parameters."""
    accepted = {f.name: f for f in dc.fields(cls)}
    for key in fields:
        if key not in accepted:
            it_has = f"it has {', '.join(map(repr, accepted))}" if accepted else "it has none"
            raise RecipeError(f"{what} has no parameter {key!r}; {it_has}")
    missing = [n for n, f in accepted.items() if n not in fields and f.default is dc.MISSING and f.default_factory is dc.MISSING]
    if missing:
        raise RecipeError(f"{what} needs {', '.join(map(repr, missing))}")
    return cls(**fields)


def read_form(cls: type[Any], fields: Mapping[str, Any], *, version: int, what: str) -> dict[str, Any]:
    """The parts of a versioned file form, once its version and the parts' names are known to be good.

    Args:
        cls: the dataclass the form is of.
        fields: what the file says.
        version: the version this release reads.
        what: the form with its article, as the error names it.
    """
    parts = dict(fields)
    given = parts.pop("version", version)
    if given != version:
        noun = what.split()[-1]
        raise RecipeError(f"this {noun} has version {given!r}; this release reads version {version}: upgrade secateur to read it")
    known = [f.name for f in dc.fields(cls)]
    for key in parts:
        if key not in known:
            raise RecipeError(f"{what} has no part {key!r}; it has {', '.join(map(repr, known))}")
    return parts
