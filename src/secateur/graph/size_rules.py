"""Which arguments of PyTorch's functions are sizes, and of which dimensions.

A rule yields ``(value, labels, count)``: a size among the arguments, the dimension it stands for, and what it must be when
units are gone; without a count, as many indices as are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from .atoms import Cells
from .propagate import Propagation
from .reader import Gone, Reader
from .record import Call, Shape
from .sizes import plain
from .views import Dims, Labels, reshape

__all__ = ["SIZES", "Count", "Found", "argument", "kept_groups", "steps"]

Count: TypeAlias = Callable[[Reader, Gone], int]
Found: TypeAlias = Iterator[tuple[Any, Labels, "Count | None"]]
SIZES: dict[str, Callable[[Reader, Call, list[Dims]], Found]] = {}


def _sizes(*names: str) -> Callable[..., Any]:
    def register(f: Any) -> Any:
        SIZES.update(dict.fromkeys(names, f))
        return f

    return register


def argument(call: Call, position: int, *names: str) -> Any:
    """An argument by its name or position; None when it was left out."""
    for name in names:
        if name in call.kwargs:
            return call.kwargs[name]
    return call.args[position] if len(call.args) > position else None


def kept_groups(p: Propagation, groups: int, labels: Labels, size: int) -> Labels:
    """The labels of whole groups of a dimension."""
    if isinstance(labels, int) or size % groups:
        return 0
    return reshape(p.atoms, [labels], [size], [groups, size // groups])[0]


def _listed(args: tuple[Any, ...], call: Call, *names: str) -> list[Any]:
    """Sizes given as one sequence, one by one, or by name."""
    for name in names:
        if name in call.kwargs:
            value = call.kwargs[name]
            return list(value) if isinstance(value, tuple | list) else [value]
    if len(args) == 1 and isinstance(args[0], tuple | list) and not isinstance(args[0], Shape):
        return list(args[0])
    return list(args)


def _aligned(wanted: list[Any], shape: tuple[int, ...], dims: Dims) -> Found:
    """Sizes of the last dimensions, one each."""
    skip = len(shape) - len(wanted)
    if skip >= 0 and all(isinstance(x, int) for x in wanted):
        for value, labels in zip(wanted, dims[skip:], strict=True):
            yield value, labels, None


@_sizes("view", "reshape", "expand", "broadcast_to", "view_copy", "_unsafe_view", "new_zeros", "new_ones", "new_empty")
def _view(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    yield from _aligned(_listed(call.args[1:], call, "shape", "size"), call.outputs[0], outputs[0])


@_sizes("zeros", "ones", "empty", "rand", "randn")
def _made(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    yield from _aligned(_listed(call.args, call, "size"), call.outputs[0], outputs[0])


@_sizes("full", "new_full")
def _filled(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    yield from _aligned(_listed(call.args[call.name == "new_full" :][:1], call, "size"), call.outputs[0], outputs[0])


@_sizes("unflatten")
def _unflatten(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    wanted = list(argument(call, 2, "sizes"))
    at = int(argument(call, 1, "dim")) % (len(call.outputs[0]) - len(wanted) + 1)
    yield from _aligned(wanted, call.outputs[0][: at + len(wanted)], outputs[0][: at + len(wanted)])


@_sizes("split", "split_with_sizes")
def _split(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    given = argument(call, 1, "split_size_or_sections", "split_size", "split_sizes")
    dim = int(argument(call, 2, "dim") or 0)
    parts = list(given) if isinstance(given, tuple | list) else [given] * (len(outputs) - 1 or 1)
    for value, dims in zip(parts, outputs, strict=False):
        yield value, dims[dim], None


@_sizes("layer_norm", "rms_norm")
def _norm(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    yield from _aligned(list(argument(call, 1, "normalized_shape")), call.outputs[0], outputs[0])


@_sizes("group_norm")
def _group_norm(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    groups = argument(call, 1, "num_groups")
    if int(groups) > 1:
        yield groups, kept_groups(r.labels, int(groups), outputs[0][1], call.outputs[0][1]), None


@_sizes("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    groups = argument(call, 6, "groups")
    if groups is not None and int(groups) > 1:
        channels = len(call.outputs[0]) - int(call.name.rstrip("d")[-1]) - 1
        yield groups, kept_groups(r.labels, int(groups), outputs[0][channels], call.outputs[0][channels]), None


@_sizes("pad")
def _pad(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    """Amounts, from the last dimension on: before, after."""
    amounts = argument(call, 1, "pad")
    for k in range(len(amounts) // 2):
        labels, n = outputs[0][-1 - k], call.outputs[0][-1 - k]
        before, after = amounts[2 * k], amounts[2 * k + 1]
        if not isinstance(labels, int):
            yield before, labels[: max(before, 0)], None
            yield after, labels[n - max(after, 0) :], None


@_sizes("repeat_interleave")
def _repeat_interleave(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    """How many copies of each index."""
    repeats, dim = argument(call, 1, "repeats"), argument(call, 2, "dim")
    if isinstance(repeats, int) and isinstance(dim, int) and repeats > 1:
        n, labels = call.outputs[0][dim], outputs[0][dim]
        copies = 0 if isinstance(labels, int) else reshape(r.labels.atoms, [labels], [n], [n // repeats, int(repeats)])[1]
        yield repeats, copies, None


@_sizes("narrow")
def _narrow(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    x, dim = call.args[0], int(argument(call, 1, "dim"))
    dims = r.dims(x.source)
    if dims is not None:
        yield from _before(argument(call, 2, "start"), dims[dim], x[dim])
        yield argument(call, 3, "length"), outputs[0][dim], None


@_sizes("select")
def _select(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    x, dim = call.args[0], argument(call, 1, "dim")
    dims = r.dims(x.source)
    if dims is not None:
        yield from _before(argument(call, 2, "index"), dims[int(dim)], x[int(dim)])


@_sizes("__getitem__")
def _picked(r: Reader, call: Call, outputs: list[Dims]) -> Found:
    """Numbers and bounds of slices."""
    x, picks = call.args[0], call.args[1]
    dims = r.dims(x.source) if isinstance(x, Shape) else None
    if dims is None:
        return
    for dim, pick in _by_dimension(picks, len(dims)):
        if isinstance(pick, slice):
            if not _is_phase(pick):
                yield from _before(pick.start, dims[dim], x[dim])
            yield from _before(pick.stop, dims[dim], x[dim])
        else:
            yield from _before(pick, dims[dim], x[dim])


def _is_phase(pick: slice) -> bool:
    """Whether a slice starts in its first step: ``1::2``."""
    return pick.step not in (None, 1) and isinstance(pick.start, int) and 0 < pick.start < pick.step


def steps(r: Reader, call: Call) -> Iterator[tuple[Cells, slice]]:
    """Slices with a step: the labels between their bounds, and what is taken of these."""
    x = call.args[0]
    dims = r.dims(x.source) if isinstance(x, Shape) else None
    for dim, pick in _by_dimension(call.args[1], len(dims)) if dims is not None else ():
        labels = dims[dim] if dims is not None else 0
        if isinstance(pick, slice) and pick.step not in (None, 1) and not isinstance(labels, int):
            first = int(pick.start) if _is_phase(pick) else 0
            start = None if first or pick.start is None else int(pick.start)
            yield labels[slice(start, plain(pick.stop))], slice(first, None, int(pick.step))


def _by_dimension(picks: Any, rank: int) -> Iterator[tuple[int, Any]]:
    """What is picked of each dimension, up to the first tensor that picks."""
    each = list(picks) if isinstance(picks, tuple) and not isinstance(picks, Shape) else [picks]
    each = [x for x in each if x is not None]
    at = next((k for k, x in enumerate(each) if x is Ellipsis), None)
    if at is not None:
        if any(isinstance(x, Shape | list) for x in each):
            each = each[:at]
        else:
            each[at : at + 1] = [slice(None)] * (rank - len(each) + 1)
    for dim, pick in enumerate(each[:rank]):
        if isinstance(pick, Shape | list | bool):
            return
        yield dim, pick


def _before(position: Any, labels: Labels, n: int) -> Found:
    """A position: as many indices as are left before it; from the end, behind it."""
    if isinstance(labels, int) or not isinstance(position, int):
        return
    if 0 < position < n:
        yield position, labels[:position], None
    elif -n < position < 0:
        yield -position, labels[n + position :], None
