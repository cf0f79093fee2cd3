"""Which integers of the user's Python must follow which dimensions, and which dimensions their code holds fixed."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterator

import numpy as np

from .atoms import Cells
from .propagate import Propagation
from .reader import Gone, Reader, arrays, given
from .record import Call, Recording
from .size_rules import SIZES, Count, argument, kept_groups, steps
from .sizes import Axis, Expression, Size, axes, expression_of, leaves
from .views import Labels

__all__ = ["Requirement", "kept_groups", "read_off", "requirements", "unequal"]

_PACKED = "multi_head_attention_forward takes one size for queries, keys, values and result"


@dc.dataclass(frozen=True, eq=False)
class Requirement:
    """A size that forward passes to a call, and what it must be when indices are gone.

    Args:
        call: the number of the call.
        expression: the size as Python computed it.
        labels: the dimension it stands for.
        count: the size it must have.
    """

    call: int
    expression: Expression
    labels: Labels
    count: Count

    def about(self, reader: Reader) -> list[Cells]:
        """The labels it is about: its own dimension, and those its expression reads."""
        found = [self.labels, *(reader.of_axis(a) for a in axes(self.expression))]
        return [x for x in found if not isinstance(x, int)]


def requirements(recording: Recording, p: Propagation) -> list[Requirement]:
    """All sizes that forward computes and that a smaller model may need otherwise; dimensions that cannot follow are pinned.

    A size that Python reads off a tensor is right by itself; one that comes from an attribute can be changed with it;
    one that stands in the source, or that a number is computed from, holds its dimension.
    """
    reader, computed = Reader(recording, p), recording.notes.numbers
    found = [r for number, call in enumerate(recording.calls) for r in _required(reader, number, call)]
    for number, call in enumerate(recording.calls):
        for text, labels in _held(reader, number, call):
            _hold(reader, number, labels, text)
    for r in found:
        known = leaves(r.expression)
        if not known:
            _hold(reader, r.call, r.labels, f"forward fixes its size to {r.expression}")
        elif known <= computed.keys():
            _hold(reader, r.call, r.labels, "forward computes a number from its size", computed[min(known, key=str)])
    for leaf, place in computed.items():
        if isinstance(leaf, Axis):
            _hold(reader, None, reader.of_axis(leaf), "forward computes a number from its size", place)
    return [r for r in found if leaves(r.expression)]


def _required(reader: Reader, number: int, call: Call) -> Iterator[Requirement]:
    """Each size among the arguments of a call."""
    rule = SIZES.get(call.name)
    outputs = reader.outputs(number) if rule is not None else None
    if rule is None or outputs is None:
        return
    known = [d for d in outputs if d is not None]
    if len(known) < len(outputs):
        return
    for value, labels, count in rule(reader, call, known):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0 and (isinstance(value, Size) or len_of(labels)):
            yield Requirement(number, expression_of(value), labels, count or _all_left(labels, int(value)))


def len_of(labels: Labels) -> int:
    """How many indices are labelled."""
    return 0 if isinstance(labels, int) else len(labels)


def _all_left(labels: Labels, dense: int) -> Count:
    return lambda reader, gone: reader.left(labels, dense, gone)


def _hold(reader: Reader, number: int | None, labels: Labels, text: str, place: str = "") -> None:
    """Pin a dimension, giving the place of a call."""
    if isinstance(labels, int):
        return
    place = place or (reader.recording.calls[number].place if number is not None else "")
    nodes = reader.recording.nodes.get(number, []) if number is not None and not place else []
    why = reader.labels.reason(f"{text} ({place})" if place else text, nodes[0] if nodes else None)
    reader.labels.atoms.pin(labels, why)


def _held(reader: Reader, number: int, call: Call) -> Iterator[tuple[str, Labels]]:
    """Dimensions that a call cannot do without, though its operations could."""
    if call.name == "multi_head_attention_forward":
        inside = [reader.labels.dims.get(n) for n in reader.recording.nodes.get(number, [])]
        for dims in [*inside, *(reader.dims(x.source) for x in given(call.args, call.kwargs))]:
            yield from ((_PACKED, labels) for labels in arrays(dims))
    if call.name == "scaled_dot_product_attention" and argument(call, 6, "scale") is None:
        query = argument(call, 0, "query")
        dims = reader.dims(query.source)
        if dims is not None:
            yield "the scale of the attention is computed from its size", dims[-1]


def unequal(reader: Reader, gone: Gone) -> Iterator[tuple[int, str, list[Cells]]]:
    """Calls that would cut a dimension elsewhere than the labels say, and why."""
    for number, call in enumerate(reader.recording.calls):
        if call.name in ("chunk", "split", "tensor_split") and not isinstance(argument(call, 1), tuple | list):
            outputs = reader.outputs(number) or []
            if len(outputs) < 2 or any(d is None for d in outputs):
                continue
            dim = int(argument(call, 2, "dim") or 0)
            parts = [d[dim] for d in outputs if d is not None]
            counts = [reader.left(x, shape[dim], gone) for x, shape in zip(parts, call.outputs, strict=True)]
            if counts != [shape[dim] for shape in call.outputs] and not _even(call.name, counts):
                yield number, f"the parts that {call.name} makes would not be equal", [x for x in parts if not isinstance(x, int)]
        elif call.name == "__getitem__":
            for labels, pick in steps(reader, call):
                stays = reader.stays(labels, gone)
                wanted = np.arange(len(stays))[pick][stays[pick]]
                if not np.array_equal(np.flatnonzero(stays)[pick], wanted):
                    yield number, f"a slice takes one of every {pick.step} indices", [labels]


def _even(name: str, counts: list[int]) -> bool:
    even = len(set(counts[:-1])) == 1 and 0 < counts[-1] <= counts[0]
    return even and (name != "chunk" or counts[0] == -(-sum(counts) // len(counts)))


def read_off(reader: Reader, expression: Expression, gone: Gone) -> dict[Axis, int]:
    """What the sizes that an expression reads off tensors will be."""
    return {axis: reader.left(reader.of_axis(axis), axis.size, gone) for axis in axes(expression)}
