"""Which integers of the user's Python must follow which dimensions, and which dimensions their code holds fixed."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from .propagate import Propagation
from .record import Call, Recording, Shape
from .sizes import Axis, Expression, Size, axes, expression_of, leaves
from .views import Dims, Labels, reshape

if TYPE_CHECKING:
    from .analysis import Analysis, Gone

__all__ = ["Requirement", "labels_of", "requirements"]

Count = Callable[["Gone"], int]


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


def requirements(recording: Recording, p: Propagation) -> list[Requirement]:
    """All sizes that forward computes and that a smaller model may need otherwise; dimensions that cannot follow are pinned.

    A size that Python reads off a tensor is right by itself; one that comes from an attribute can be changed with it;
    one that stands in the source, or that a float is computed from, holds its dimension.
    """
    reader = _Reader(recording, p)
    found: list[Requirement] = []
    for number, call in enumerate(recording.calls):
        for value, labels, count in reader.sizes(number, call):
            found.append(Requirement(number, expression_of(value), labels, count))
        for text, labels in reader.holds(number, call):
            reader.hold(number, labels, text)
    for r in found:
        if not leaves(r.expression):
            reader.hold(r.call, r.labels, f"forward fixes its size to {r.expression}")
        elif leaves(r.expression) & recording.notes.floats:
            reader.hold(r.call, r.labels, "forward computes a floating-point number from its size")
    for leaf in recording.notes.floats:
        if isinstance(leaf, Axis):
            number = leaf.source[0] if isinstance(leaf.source, tuple) else 0
            reader.hold(number, labels_of(recording, p, leaf), "forward computes a floating-point number from its size")
    return [r for r in found if leaves(r.expression)]


def labels_of(recording: Recording, p: Propagation, axis: Axis) -> Labels:
    """The labels of a dimension whose size Python read."""
    dims = _Reader(recording, p).dims(axis.source)
    return 0 if dims is None or axis.dim >= len(dims) else dims[axis.dim]


class _Reader:
    """Reads calls side by side with the operations they made."""

    def __init__(self, recording: Recording, p: Propagation) -> None:
        self.recording, self.p = recording, p

    def hold(self, number: int, labels: Labels, text: str) -> None:
        """Pin a dimension, giving the place of a call."""
        if not isinstance(labels, int):
            nodes = self.recording.nodes.get(number, [])
            self.p.atoms.pin(labels, self.p.reason(text, nodes[0] if nodes else None))

    def dims(self, source: Any) -> Dims | None:
        """The labels of what a call returned, or of a parameter."""
        p = self.p
        if isinstance(source, str):
            return p.parameters.get(p.names.get(source, source))
        if source is None:
            return None
        number, k = source
        found = self.outputs(number, self.recording.calls[number])
        return found[k] if found is not None and k < len(found) else None

    def outputs(self, number: int, call: Call) -> list[Dims | None] | None:
        """The labels of what a call returned; of one that made no operation, of what it was given."""
        nodes = self.recording.nodes.get(number, [])
        if not nodes:
            first = next((x for x in call.args if isinstance(x, Shape)), None)
            same = first is not None and call.outputs == (tuple(first),)
            return [self.dims(first.source)] if same and first is not None else None
        values = [(n.meta.get("val"), self.p.dims.get(n)) for n in reversed(nodes)]
        for value, dims in values:
            if isinstance(value, list | tuple) and dims is not None and len(value) == len(call.outputs) > 1:
                return list(dims)
        shapes = [(tuple(v.shape), d) for v, d in values if isinstance(v, torch.Tensor) and d is not None]
        return [next((d for s, d in shapes if s == shape), None) for shape in call.outputs]

    def size(self, labels: Labels, dense: int) -> Count:
        """How many indices of a dimension are left."""
        if isinstance(labels, int):
            return lambda gone: dense
        rows = self.p.atoms.resolve(labels, pinned=True)
        return lambda gone: int((~gone[rows].any(axis=1)).sum())

    def sizes(self, number: int, call: Call) -> Iterator[tuple[Any, Labels, Count]]:
        """Each size among the arguments, the dimension it stands for, and what it must be."""
        rule = _SIZES.get(call.name)
        outputs = self.outputs(number, call) if rule is not None else None
        if rule is None or outputs is None or any(d is None for d in outputs):
            return
        for value, labels, dense_or_count in rule(self, call, outputs):
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                count = dense_or_count if callable(dense_or_count) else self.size(labels, dense_or_count)
                if isinstance(value, Size) or not isinstance(labels, int):
                    yield value, labels, count

    def holds(self, number: int, call: Call) -> Iterator[tuple[str, Labels]]:
        """Dimensions that a call cannot do without, though its operations could."""
        nodes = self.recording.nodes.get(number, [])
        if call.name == "multi_head_attention_forward":
            for node in nodes:
                for labels in _flat(self.p.dims.get(node)):
                    yield "multi_head_attention_forward takes one size for queries, keys, values and result", labels
            for x in call.args:
                for labels in _flat(self.dims(x.source)) if isinstance(x, Shape) else ():
                    yield "multi_head_attention_forward takes one size for queries, keys, values and result", labels
        if call.name == "scaled_dot_product_attention" and call.kwargs.get("scale", _at(call.args, 6)) is None:
            query = call.args[0] if call.args else call.kwargs["query"]
            dims = self.dims(query.source)
            if dims is not None:
                yield "the scale of the attention is computed from its size", dims[-1]

    def groups(self, number_of_groups: int, labels: Labels, size: int) -> Labels:
        """The labels of whole groups of a dimension."""
        return kept_groups(self.p, number_of_groups, labels, size)


def kept_groups(p: Propagation, groups: int, labels: Labels, size: int) -> Labels:
    """The labels of whole groups of a dimension."""
    if isinstance(labels, int) or size % groups:
        return 0
    return reshape(p.atoms, [labels], [size], [groups, size // groups])[0]


def _flat(dims: Any) -> Iterator[Labels]:
    for d in dims or ():
        if isinstance(d, list):
            yield from _flat(d)
        elif d is not None:
            yield d


Found = Iterator[tuple[Any, Labels, Any]]
_SIZES: dict[str, Callable[[_Reader, Call, list[Any]], Found]] = {}


def _sizes(*names: str) -> Callable[..., Any]:
    def register(f: Any) -> Any:
        _SIZES.update(dict.fromkeys(names, f))
        return f

    return register


def _at(args: tuple[Any, ...], k: int) -> Any:
    return args[k] if len(args) > k else None


def _listed(args: tuple[Any, ...], kwargs: dict[str, Any], *names: str) -> list[Any]:
    """Sizes given as one sequence, one by one, or by name."""
    for name in names:
        if name in kwargs:
            value = kwargs[name]
            return list(value) if isinstance(value, tuple | list) else [value]
    if len(args) == 1 and isinstance(args[0], tuple | list) and not isinstance(args[0], Shape):
        return list(args[0])
    return list(args)


@_sizes("view", "reshape", "expand", "broadcast_to", "view_copy", "_unsafe_view", "new_zeros", "new_ones", "new_empty")
def _view(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    wanted = _listed(call.args[1:], call.kwargs, "shape", "size")
    if all(isinstance(x, int) for x in wanted):
        yield from _aligned(wanted, call.outputs[0], outputs[0])


@_sizes("zeros", "ones", "empty", "rand", "randn")
def _made(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    wanted = _listed(call.args, call.kwargs, "size")
    if all(isinstance(x, int) for x in wanted):
        yield from _aligned(wanted, call.outputs[0], outputs[0])


@_sizes("full", "new_full")
def _filled(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    wanted = _listed(call.args[call.name == "new_full" :][:1], call.kwargs, "size")
    if all(isinstance(x, int) for x in wanted):
        yield from _aligned(wanted, call.outputs[0], outputs[0])


def _aligned(wanted: list[Any], shape: tuple[int, ...], dims: Dims) -> Found:
    skip = len(shape) - len(wanted)
    if skip >= 0:
        yield from zip(wanted, dims[skip:], shape[skip:], strict=True)


@_sizes("unflatten")
def _unflatten(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    dim = call.kwargs.get("dim", _at(call.args, 1))
    wanted = list(call.kwargs.get("sizes", _at(call.args, 2)))
    rank = len(call.outputs[0]) - len(wanted) + 1
    at = int(dim) % rank
    yield from zip(wanted, outputs[0][at : at + len(wanted)], call.outputs[0][at : at + len(wanted)], strict=True)


@_sizes("split", "split_with_sizes")
def _split(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    given = _at(call.args, 1)
    for name in ("split_size_or_sections", "split_size", "split_sizes"):
        given = call.kwargs.get(name, given)
    dim = int(call.kwargs.get("dim", _at(call.args, 2) or 0))
    parts = list(given) if isinstance(given, tuple | list) else [given] * (len(outputs) - 1 or 1)
    for value, dims, shape in zip(parts, outputs, call.outputs, strict=False):
        yield value, dims[dim], shape[dim]


@_sizes("layer_norm", "rms_norm")
def _norm(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    wanted = list(call.kwargs.get("normalized_shape", _at(call.args, 1)))
    yield from _aligned(wanted, call.outputs[0], outputs[0])


@_sizes("group_norm")
def _group_norm(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    groups = call.kwargs.get("num_groups", _at(call.args, 1))
    labels = r.groups(int(groups), outputs[0][1], call.outputs[0][1])
    if int(groups) > 1:
        yield groups, labels, int(groups)


@_sizes("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    groups = call.kwargs.get("groups", _at(call.args, 6))
    if groups is None or int(groups) == 1:
        return
    channels = len(call.outputs[0]) - int(call.name.rstrip("d")[-1]) - 1
    yield groups, r.groups(int(groups), outputs[0][channels], call.outputs[0][channels]), int(groups)


@_sizes("__getitem__")
def _slices(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    """Bounds of slices: as many indices as are left before them."""
    given = call.args[0]
    dims = r.dims(given.source) if isinstance(given, Shape) else None
    picks = call.args[1] if isinstance(call.args[1], tuple) and not isinstance(call.args[1], Shape) else (call.args[1],)
    if dims is None or (any(x is Ellipsis for x in picks[:-1]) and any(isinstance(x, list | Shape) for x in picks)):
        return
    fixed = [x for x in picks if x is not None]
    if fixed and Ellipsis in [x for x in fixed if x is Ellipsis]:
        at = next(k for k, x in enumerate(fixed) if x is Ellipsis)
        fixed[at : at + 1] = [slice(None)] * (len(dims) - len(fixed) + 1)
    for dim, pick in enumerate(fixed[: len(dims)]):
        if isinstance(pick, slice):
            yield from _bounds(r, pick, dims[dim], given[dim])


@_sizes("pad")
def _pad(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    """Amounts, from the last dimension on: before, after."""
    amounts = call.kwargs.get("pad", _at(call.args, 1))
    for k in range(len(amounts) // 2):
        labels, n = outputs[0][-1 - k], call.outputs[0][-1 - k]
        before, after = amounts[2 * k], amounts[2 * k + 1]
        if isinstance(labels, int):
            continue
        for amount, part in ((before, labels[: max(before, 0)]), (after, labels[n - max(after, 0) :])):
            if amount > 0:
                yield amount, part, r.size(part, len(part))


@_sizes("narrow")
def _narrow(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    given, dim = call.args[0], int(call.kwargs.get("dim", _at(call.args, 1)))
    start = call.kwargs.get("start", _at(call.args, 2))
    dims = r.dims(given.source)
    if dims is not None:
        yield from _bounds(r, slice(start, None), dims[dim], given[dim])
        yield call.kwargs.get("length", _at(call.args, 3)), outputs[0][dim], call.outputs[0][dim]


def _bounds(r: _Reader, pick: slice, labels: Labels, n: int) -> Found:
    if isinstance(labels, int):
        return
    rows = r.p.atoms.resolve(labels, pinned=True)
    for bound in (pick.start, pick.stop):
        if isinstance(bound, int) and 0 < bound < n:
            yield bound, labels, _before(rows, int(bound))


def _before(rows: Any, bound: int) -> Count:
    return lambda gone: int((~gone[rows[:bound]].any(axis=1)).sum())


@_sizes("repeat_interleave")
def _repeat_interleave(r: _Reader, call: Call, outputs: list[Any]) -> Found:
    repeats = call.kwargs.get("repeats", _at(call.args, 1))
    dim = call.kwargs.get("dim", _at(call.args, 2))
    given = r.dims(call.args[0].source) if isinstance(call.args[0], Shape) else None
    if not isinstance(repeats, int) or dim is None or given is None:
        return
    before, after = r.size(given[dim], call.args[0][dim]), r.size(outputs[0][dim], call.outputs[0][dim])
    yield repeats, outputs[0][dim], lambda gone: int(after(gone) / max(before(gone), 1))


def unequal(recording: Recording, p: Propagation, gone: Gone) -> Iterator[tuple[int, list[Labels]]]:
    """Calls that would cut a dimension elsewhere than the labels say: chunks and splits into parts that are not equal."""
    reader = _Reader(recording, p)
    for number, call in enumerate(recording.calls):
        if call.name not in ("chunk", "split", "tensor_split") or isinstance(_at(call.args, 1), tuple | list):
            continue
        outputs = reader.outputs(number, call)
        if outputs is None or len(outputs) < 2 or any(d is None for d in outputs):
            continue
        dim = int(call.kwargs.get("dim", _at(call.args, 2) or 0))
        labels = [d[dim] for d in outputs if d is not None]
        counts = [reader.size(x, shape[dim])(gone) for x, shape in zip(labels, call.outputs, strict=True)]
        if counts == [shape[dim] for shape in call.outputs]:
            continue
        even = len(set(counts[:-1])) == 1 and 0 < counts[-1] <= counts[0]
        if not even or (call.name == "chunk" and counts[0] != -(-sum(counts) // len(counts))):
            yield number, labels


def dims_read(expression: Expression, recording: Recording, p: Propagation, gone: Gone) -> dict[Axis, int]:
    """What the sizes that an expression reads off tensors will be."""
    reader, found = _Reader(recording, p), {}
    for axis in axes(expression):
        dims = reader.dims(axis.source)
        found[axis] = axis.size if dims is None or axis.dim >= len(dims) else reader.size(dims[axis.dim], axis.size)(gone)
    return found


def touched(r: Requirement, recording: Recording, p: Propagation) -> list[np.ndarray]:
    """The labels a requirement is about: its own dimension, and those its expression reads."""
    found = [r.labels, *(labels_of(recording, p, a) for a in axes(r.expression))]
    return [x for x in found if not isinstance(x, int)]


def shapes_of_calls(analysis: Analysis, gone: Gone) -> dict[int, list[tuple[int, ...]]]:
    """For each call the shapes it must return, where that is known."""
    recording = analysis.recording
    reader, found = _Reader(recording, analysis.labels), {}
    for number, call in enumerate(recording.calls):
        outputs = reader.outputs(number, call)
        if outputs is not None and all(d is not None for d in outputs):
            shapes = zip(outputs, call.outputs, strict=True)
            found[number] = [tuple(reader.size(x, n)(gone) for x, n in zip(d or (), s, strict=True)) for d, s in shapes]
    return found


def tensors_of_call(analysis: Analysis, number: int) -> list[np.ndarray]:
    """The labels of all that a call takes and gives."""
    reader, call = _Reader(analysis.recording, analysis.labels), analysis.recording.calls[number]
    given = [reader.dims(x.source) for x in pytree.tree_leaves((call.args, call.kwargs), is_leaf=_is_shape) if _is_shape(x)]
    return [x for dims in [*given, *(reader.outputs(number, call) or [])] for x in _flat(dims) if not isinstance(x, int)]


def _is_shape(x: Any) -> bool:
    return isinstance(x, Shape)
