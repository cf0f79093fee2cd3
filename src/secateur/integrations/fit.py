"""The configuration from which a class makes a model as small as a given one, found by trying."""

from __future__ import annotations

import copy
import dataclasses as dc
import heapq
import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import nn

from ..core.errors import ModelError
from ..graph.plan import noted
from ..graph.slots import put, read
from ..graph.verify import Failure, Run, answer, difference
from .depth import Gap, closed_up, fewer_blocks

__all__ = ["Field", "Misfit", "dense_config", "fit"]

Field: TypeAlias = "tuple[str | int, ...]"
"""The keys on the way to an integer of a configuration."""

_Distance: TypeAlias = "tuple[float, int, int]"  # how far sizes are off, integers that are, other plain attributes that are
_EXPANSIONS, _LONG = 40, 64  # configurations gone on from; longer lists and tables hold no sizes
_TOLERANCE = 1e-10


class Misfit(Exception):
    """No configuration says how small a model is; the text says where that shows."""


def fit(model: Any, example_inputs: Any) -> tuple[Any, dict[Field, tuple[Any, Any]]]:
    """The model made anew from a configuration that says how small it is.

    Numbers of the configuration are changed one at a time, wherever that brings the sizes of parameters and the integers of
    modules nearer. Whether the result is the same model is then tried on the inputs, in double precision and call by call.

    Args:
        model: a shrunken Transformers model.
        example_inputs: what it takes.

    Returns:
        Another model with the same tensors, and the fields that changed, before and after.

    Raises:
        ModelError: the class makes another model of a configuration, whatever it says.
        Misfit: no configuration of its class says it.
    """
    small, gaps = closed_up(model)
    search, why = _Search(small, gaps), None
    for state in search.states():
        made = search.made(state.fields, "cpu")
        try:
            _check(model, small, made, example_inputs)
        except Misfit as e:
            why = why or e  # of the nearest
            continue
        return made, {f: (before, after) for f, (before, after) in state.changed.items() if before != after}
    raise why or Misfit("nothing fits")


@dc.dataclass(frozen=True, eq=False)
class _State:
    """A configuration on its way to that of a smaller model."""

    distance: _Distance
    fields: dict[str, Any]
    changed: dict[Field, tuple[Any, Any]]

    def __lt__(self, other: _State) -> bool:
        return self.distance < other.distance

    def with_(self, field: Field, value: Any, distance: _Distance) -> _State:
        before = self.changed[field][0] if field in self.changed else _at(self.fields, field)
        return _State(distance, _with(self.fields, field, value), {**self.changed, field: (before, value)})


class _Search:
    """Looks for configurations that make models as small, the nearest first."""

    def __init__(self, model: Any, gaps: tuple[Gap, ...]) -> None:
        self.model, self.start = model, dense_config(model)
        dense = self.start.to_dict()
        self._known = frozenset(dense)
        ways = fewer_blocks(dense, gaps) if gaps else [(dense, dict[str, tuple[int, int]]())]
        roots = [
            _State(distance, fields, {(key,): sizes for key, sizes in changed.items()})
            for fields, changed in ways
            if (distance := self._distance(fields)) is not None
        ]
        kind = type(model).__name__
        if not roots and gaps:
            raise Misfit(f"{kind} numbers its blocks otherwise than those that are left")
        if not roots:
            raise ModelError(f"{kind}(config) does not make the parameters of this model; save it with secateur.save instead")
        self.root = min(roots)

    def states(self) -> Iterator[_State]:
        """Those that make the sizes, or the nearest there is."""
        first = self._say_what_modules_say()
        heap, seen, nearest, found = [first], {self._key(first)}, first, False
        for _ in range(_EXPANSIONS):
            if not heap:
                break
            state = heapq.heappop(heap)
            nearest = min(nearest, state)
            if state.distance[:2] == (0, 0):
                found = True
                yield self._unsay(state)
            for child in self._children(state):
                if self._key(child) not in seen:
                    seen.add(self._key(child))
                    heapq.heappush(heap, child)
        if not found:
            yield self._unsay(nearest)

    @staticmethod
    def _key(state: _State) -> frozenset[Any]:
        return frozenset((field, after) for field, (_, after) in state.changed.items())

    def made(self, fields: dict[str, Any], device: str = "meta") -> Any:
        """The model of a configuration."""
        given = {k: copy.deepcopy(v) for k, v in fields.items() if v is not None or k in self._known}
        config = type(self.start).from_dict(given)
        config._attn_implementation = self.start._attn_implementation
        with torch.device(device):
            return type(self.model)(config)

    def _say_what_modules_say(self) -> _State:
        """Fields that are left open, such as ``head_dim``, say what modules hold under their name."""
        state = self.root
        for field in [*_open(state.fields), *((name,) for name in self._missed())]:
            values = {v for m in self.model.modules() if type(v := vars(m).get(field[-1])) is int}
            if len(values) == 1:
                (value,) = values
                distance = self._distance(_with(state.fields, field, value))
                if distance is not None and distance <= state.distance:
                    state = state.with_(field, value, distance)
        return state

    def _unsay(self, state: _State) -> _State:
        """What need not be said is not."""
        for field, (before, _) in state.changed.items():
            if before is None and self._distance(_with(state.fields, field, None)) == state.distance:
                state = state.with_(field, None, state.distance)
        return state

    def _missed(self) -> list[str]:
        """Fields that the class looks for, and the configuration does not have."""
        missed: dict[str, None] = {}

        def look(config: Any, name: str) -> Any:
            missed[name] = None
            raise AttributeError(name)

        config = copy.deepcopy(self.start)
        config.__class__ = type(type(config).__name__, (type(config),), {"__getattr__": look})
        with torch.device("meta"):
            type(self.model)(config)
        return [name for name in missed if not name.startswith("_")]

    def _children(self, state: _State) -> list[_State]:
        """Nearer ones: a number stands for a size that changed; or is in proportion to one; or is left open."""
        made = self.made(state.fields)
        mine, its = _shapes(self.model), _shapes(made)
        pairs = {(b, a) for n, s in mine.items() for a, b in zip(s, its[n], strict=True) if a != b}
        pairs |= {(x, now) for slot, (_, now) in noted(self.model).items() if type(x := _read(made, slot)) is int and x != now}
        sizes, numbers = sorted({after for _, after in pairs}), list(_numbers(state.fields))
        same = [(f, a) for f, v in numbers for b, a in sorted(pairs) if v == b and type(v) is int]
        scaled = [(f, x) for f, v in numbers for b, a in sorted(pairs) if (x := _scaled(v, b, a)) not in (0, v, None)]
        for moves in (same, scaled, [(f, a) for f in _open(state.fields) for a in sizes]):
            tried = [(f, x, self._distance(_with(state.fields, f, x))) for f, x in dict.fromkeys(moves)]
            better = [state.with_(f, x, d) for f, x, d in tried if d is not None and d < state.distance]
            if better:
                return better
        return []

    def _distance(self, fields: dict[str, Any]) -> _Distance | None:
        """How far off a configuration is; None when the class refuses it or makes other parameters of it."""
        try:
            made = self.made(fields)
        except Exception:  # a configuration of no model: whatever the class says, it is not this one
            return None
        mine, its = _shapes(self.model), _shapes(made)
        if mine.keys() != its.keys() or any(len(s) != len(its[n]) for n, s in mine.items()):
            return None
        pairs = ((a, b) for n, s in mine.items() for a, b in zip(s, its[n], strict=True) if a != b)
        distance = sum(abs(math.log(max(a, 0.5) / max(b, 0.5))) for a, b in pairs)
        integers = sum(_read(made, slot) != now for slot, (_, now) in noted(self.model).items())
        return round(distance, 9), integers, sum(1 for _ in _plain_differences(self.model, made))


def dense_config(model: Any) -> Any:
    """The configuration with which a model was made, before it was shrunken."""
    config = copy.deepcopy(model.config)
    for slot, (before, _) in noted(model).items():
        if slot.module == "" and slot.keys[0] == "config":
            config = put(config, slot.keys[1:], before)
    return config


def _scaled(value: float, before: int, after: int) -> float | None:
    if type(value) is float:
        return value * after / before if before else None
    return value * after // before if before and value * after % before == 0 else None


def _numbers(value: Any, field: Field = ()) -> Iterator[tuple[Field, float]]:
    if type(value) in (int, float):
        yield field, value
    elif isinstance(value, dict | list) and (not field or len(value) <= _LONG):
        for key, v in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(v, (*field, key))


def _open(value: dict[str, Any], field: Field = ()) -> Iterator[Field]:
    for key, v in value.items():
        if v is None:
            yield (*field, key)
        elif isinstance(v, dict) and len(v) <= _LONG:
            yield from _open(v, (*field, key))


def _at(config: Any, field: Field) -> Any:
    for key in field:
        config = config.get(key) if isinstance(config, dict) else config[key]
    return config


def _with(config: dict[str, Any], field: Field, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(config)
    _at(new, field[:-1])[field[-1]] = value
    return new


def _read(model: nn.Module, slot: Any) -> Any:
    try:
        return read(model, slot)
    except (AttributeError, KeyError, IndexError, TypeError):
        return None


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]}


def _plain_differences(model: nn.Module, made: nn.Module) -> Iterator[str]:
    """Numbers among the attributes of modules that two models do not have alike."""
    other = dict(made.named_modules())
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if type(value) in (int, float, bool) and key != "training" and vars(other.get(name, made)).get(key) != value:
                yield f"{name}.{key}".lstrip(".")


def _differences(model: nn.Module, made: nn.Module) -> Iterator[str]:
    mine, its = _shapes(model), _shapes(made)
    yield from (f"{n} is {s}, and the nearest gives {its[n]}" for n, s in mine.items() if s != its[n])
    for slot, (_, now) in noted(model).items():
        if _read(made, slot) != now:
            yield f"{slot} is {now}, and the nearest gives {_read(made, slot)}"
    buffers, saved = dict(made.named_buffers()), model.state_dict()
    for name, buffer in model.named_buffers():
        if name not in saved and not torch.equal(buffer.cpu(), buffers[name]):
            yield f"the class computes other values for the buffer {name}"


def _check(model: Any, small: Any, made: Any, example_inputs: Any) -> None:
    """Give a new model the tensors of the small one, and compare it to the one that was shrunken."""
    wrong = next(_differences(small, made), None)
    if wrong is not None:
        raise Misfit(wrong)
    made.load_state_dict(small.state_dict(), assign=True)
    made.tie_weights()
    made.train(model.training)
    before = answer(model, example_inputs)
    try:
        after = answer(made, example_inputs, Run(before.steps))
    except Failure as e:
        raise Misfit(f"a model made with other settings: {e.text}") from e
    error = difference(after.tensors, before.tensors)
    if not error < _TOLERANCE:
        raise Misfit(f"the outputs of a model made with other settings differ by {error:.0e}")
