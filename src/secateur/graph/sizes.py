"""Integers that remember what they were computed from."""

from __future__ import annotations

import dataclasses as dc
import operator
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeAlias

from .source import here

__all__ = ["Axis", "Expression", "Notes", "Size", "Slot", "axes", "evaluate", "plain", "show", "slots"]


@dc.dataclass(frozen=True)
class Slot:
    """An integer attribute of a module, or one inside a list, dict or configuration that it holds.

    Args:
        module: name of the module.
        keys: the attribute, then the keys, indices or attributes on the way to the integer.
    """

    module: str
    keys: tuple[str | int, ...]

    def __str__(self) -> str:
        return ".".join(str(k) for k in (self.module, *self.keys) if k != "")


@dc.dataclass(frozen=True)
class Axis:
    """The size of one dimension of a tensor met in forward.

    Args:
        source: what made the tensor: ``(call, output)``, or the name of a parameter.
        dim: the dimension.
        size: what it was.
    """

    source: Hashable
    dim: int
    size: int


Expression: TypeAlias = "int | Slot | Axis | tuple[str, Any, Any]"

_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    n: getattr(operator, n) for n in ("add", "sub", "mul", "floordiv", "mod", "pow", "truediv")
}


@dc.dataclass
class Notes:
    """What was seen of sizes while forward ran.

    Args:
        equal: those that turned out equal when compared.
        numbers: those that were computed with, as the scale of an attention is from the size of a head, and where.
    """

    equal: list[tuple[Expression, Expression]] = dc.field(default_factory=list)
    numbers: dict[Slot | Axis, str] = dc.field(default_factory=dict)

    def number(self, *expressions: Expression) -> None:
        """Note sizes that have become a number in the caller's line."""
        for leaf in leaves(expressions):
            self.numbers.setdefault(leaf, here())


class Size(int):
    """An integer with the expression it is the value of; sums, products and quotients of it are sizes too."""

    expression: Expression
    notes: Notes

    def __new__(cls, value: int, expression: Expression, notes: Notes) -> Size:
        """The integer, with its expression."""
        self = int.__new__(cls, value)
        self.expression, self.notes = expression, notes
        return self

    __hash__ = int.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int.__int__(self),)

    def __copy__(self) -> int:
        return int.__int__(self)

    def __deepcopy__(self, memo: Any) -> int:
        return int.__int__(self)

    def __float__(self) -> float:
        self.notes.number(self.expression)
        return float(int.__int__(self))

    def __neg__(self) -> Size:
        e = self.expression
        back = isinstance(e, tuple) and e[:2] == ("sub", 0)
        return Size(-int.__int__(self), e[2] if back else ("sub", 0, e), self.notes)  # type: ignore[index]

    def __pos__(self) -> Size:
        return self

    def __round__(self, digits: Any = None) -> Size:
        return self

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return self // other, self % other

    def __eq__(self, other: object) -> bool:
        same = int.__eq__(self, other) if isinstance(other, int) else NotImplemented
        if same is True:
            self.notes.equal.append((self.expression, expression_of(other)))
        return same

    def __ne__(self, other: object) -> bool:
        same = Size.__eq__(self, other)
        return same if same is NotImplemented else not same


def _forward(name: str) -> Callable[[Size, Any], Any]:
    def method(self: Size, other: Any) -> Any:
        return _combine(name, self, other, self.notes)

    return method


def _reflected(name: str) -> Callable[[Size, Any], Any]:
    def method(self: Size, other: Any) -> Any:
        return _combine(name, other, self, self.notes)

    return method


def _combine(name: str, a: Any, b: Any, notes: Notes) -> Any:
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in (a, b)):
        return NotImplemented
    value = _OPERATIONS[name](plain(a), plain(b))
    if isinstance(value, int):
        return Size(value, (name, expression_of(a), expression_of(b)), notes)
    notes.number(expression_of(a), expression_of(b))
    return value


for _name in _OPERATIONS:
    setattr(Size, f"__{_name}__", _forward(_name))
    setattr(Size, f"__r{_name}__", _reflected(_name))


def plain(x: Any) -> Any:
    """The same without provenance: sizes as integers, inside tuples, ``torch.Size`` and slices too."""
    if isinstance(x, Size):
        return int.__int__(x)
    if isinstance(x, slice):
        return slice(plain(x.start), plain(x.stop), plain(x.step))
    if isinstance(x, tuple) and any(isinstance(y, Size) for y in x):
        kept = tuple(plain(y) for y in x)
        return type(x)(*kept) if hasattr(x, "_fields") else type(x)(kept)
    return x


def expression_of(x: Any) -> Any:
    """The expression of a size; any other number is its own."""
    return x.expression if isinstance(x, Size) else x


def leaves(e: Expression | tuple[Expression, ...]) -> set[Slot | Axis]:
    """The slots and axes in an expression, or in several."""
    return set(_leaves(e))


def _leaves(e: Any) -> Iterator[Slot | Axis]:
    if isinstance(e, Slot | Axis):
        yield e
    elif isinstance(e, tuple):
        for part in e:
            yield from _leaves(part)


def slots(e: Expression) -> set[Slot]:
    """The slots in an expression."""
    return {x for x in _leaves(e) if isinstance(x, Slot)}


def axes(e: Expression) -> set[Axis]:
    """The axes in an expression."""
    return {x for x in _leaves(e) if isinstance(x, Axis)}


def evaluate(e: Expression, values: Mapping[Slot | Axis, int]) -> Any:
    """The value of an expression.

    Example:
        >>> width = Slot("", ("width",))
        >>> evaluate(("floordiv", width, 2), {width: 12})
        6
    """
    if isinstance(e, Slot | Axis):
        return values[e]
    if isinstance(e, tuple):
        return _OPERATIONS[e[0]](evaluate(e[1], values), evaluate(e[2], values))
    return e


def show(e: Expression) -> str:
    """An expression as one would write it."""
    if isinstance(e, tuple):
        signs = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%", "pow": "**", "truediv": "/"}
        return f"({show(e[1])} {signs[e[0]]} {show(e[2])})"
    return f"shape[{e.dim}]" if isinstance(e, Axis) else str(e)
