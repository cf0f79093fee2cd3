"""Parts of tensors by position, and tensors put together from parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import fx

from ..labelling import rule, sizes
from ..views import Dims, Labels, merge

if TYPE_CHECKING:
    from ..labelling import Labelling


def _hint(n: Any) -> int | None:
    """An integer argument; an open size as it was in the example, an error for one that depends on data."""
    value = n.meta.get("val") if isinstance(n, fx.Node) else n
    return value if value is None or isinstance(value, int) else int(value.node.hint)


@rule("cat", "concat", "concatenate")
def cat(p: Labelling, parts: Sequence[fx.Node], dim: int = 0) -> Dims:
    """Labels side by side."""
    parts = [x for x in parts if p.shape(x) != (0,)]
    rank = len(p.shape(parts[0]))
    dim %= rank
    out = p.of(parts[0])
    for k in range(rank):
        if k != dim:
            for x in parts[1:]:
                out[k] = p.join(out[k], p.of(x)[k])
    pieces = [p.of(x)[dim] for x in parts]
    if all(isinstance(d, int) for d in pieces):
        out[dim] = next((d for d in pieces if isinstance(d, int) and d), p.reason("put together from fixed parts"))
    else:
        out[dim] = np.concatenate([p.cells(d, p.shape(x)[dim]) for d, x in zip(pieces, parts, strict=True)])
    return out


@rule("stack")
def stack(p: Labelling, parts: Sequence[fx.Node], dim: int = 0) -> Dims:
    """A new dimension, which stays."""
    dims = p.broadcast(parts)
    dims.insert(dim if dim >= 0 else len(dims) + 1 + dim, p.reason("which of the stacked tensors"))
    return dims


@rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes")
def split(p: Labelling, x: fx.Node, _: Any, dim: int = 0) -> list[Dims]:
    """Consecutive parts of a dimension."""
    assert p.node is not None
    start, out = 0, []
    for part in p.node.meta["val"]:
        dims = p.of(x)
        stop = start + sizes(part)[dim]
        dims[dim] = _take(dims[dim], slice(start, stop))
        out.append(dims)
        start = stop
    if start != p.shape(x)[dim]:
        raise ValueError("sizes that depend on data")
    return out


@rule("slice", "narrow")
def slice_(p: Labelling, x: fx.Node, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Dims:
    """One part of a dimension."""
    assert p.node is not None
    dims = p.of(x)
    begin, stop = _hint(start), _hint(end)
    if "narrow" in str(p.node.target):
        stop = (begin or 0) + (stop or 0)
    dims[dim] = _take(dims[dim], slice(begin, stop, step))
    return dims


def _take(labels: Labels, part: slice) -> Labels:
    if isinstance(labels, int):
        return labels
    taken = labels[part]
    return labels if len(taken) == len(labels) and (part.step or 1) == 1 else taken.copy()


@rule("select")
def select(p: Labelling, x: fx.Node, dim: int, index: Any) -> Dims:
    """One index of a dimension."""
    dims = p.of(x)
    labels = dims.pop(dim)
    if not isinstance(labels, int):
        at = _hint(index)
        p.pin(labels if at is None else labels[[at]], "one index of it is picked by number")
    return dims


@rule("unbind")
def unbind(p: Labelling, x: fx.Node, dim: int = 0) -> list[Dims]:
    """All indices of a dimension, as tensors."""
    assert p.node is not None
    dims = p.of(x)
    p.pin(dims.pop(dim), "unbound into separate tensors")
    return [list(dims) for _ in p.node.meta["val"]]


@rule("flip")
def flip(p: Labelling, x: fx.Node, where: Sequence[int]) -> Dims:
    """Labels backwards."""
    dims = p.of(x)
    for k in where:
        labels = dims[k]
        dims[k] = labels if isinstance(labels, int) else labels[::-1].copy()
    return dims


@rule("diff")
def diff(p: Labelling, x: fx.Node, n: int = 1, dim: int = -1, *_: Any, **__: Any) -> Dims:
    """Differences of neighbours."""
    dims = p.of(x)
    dims[dim] = p.pin(dims[dim], "differences of neighbours are taken")
    return dims


@rule("roll")
def roll(p: Labelling, x: fx.Node, _: Any, where: Sequence[int] = ()) -> Dims:
    """Positions move by a number that would have to change."""
    dims = p.of(x)
    for k in where or range(len(dims)):
        dims[k] = p.pin(dims[k], "rolled by a number of places")
    return dims


@rule("repeat")
def repeat(p: Labelling, x: fx.Node, times: Sequence[Any]) -> Dims:
    """Copies one after the other; of one label, or a size of 1 as :func:`expand`."""
    new = len(times) - len(p.shape(x))
    dims, shape = [0] * new + p.of(x), [1] * new + list(p.shape(x))
    fixed = p.reason("repeated")
    out: Dims = []
    for labels, n, count in zip(dims, shape, times, strict=True):
        r = _hint(count)
        if r == 1:
            out.append(labels)
        elif isinstance(labels, int) or r is None:
            out.append(
                labels if n > 1 and isinstance(labels, int) else p.atoms.fresh(r) if isinstance(count, int) and r else fixed
            )
        else:
            out.append(merge(p.atoms, [fixed, labels], [r, n]))
    return out


@rule("tile")
def tile(p: Labelling, x: fx.Node, times: Sequence[Any]) -> Dims:
    """The same; sizes may be left out on the left."""
    whole: Dims = repeat(p, x, [1] * (len(p.shape(x)) - len(times)) + list(times))
    return whole


@rule("repeat_interleave")
def repeat_interleave(p: Labelling, x: fx.Node, times: Any, dim: int | None = None, **_: Any) -> Any:
    """Copies side by side, which may be thinned out."""
    if not isinstance(times, int) or dim is None:
        return NotImplemented
    dims = p.of(x)
    if not isinstance(dims[dim], int):
        dims[dim] = p.alive(merge(p.atoms, [dims[dim], p.atoms.fresh(times)], [p.shape(x)[dim], times]))
    return dims


@rule("pad", "constant_pad_nd")
def pad(p: Labelling, x: fx.Node, amount: Sequence[Any], mode: Any = "constant", value: float | None = 0, **_: Any) -> Dims:
    """Constant padding of a labelled dimension adds indices that may go one by one."""
    dims = p.of(x)
    constant = mode in ("constant", None) or not isinstance(mode, str)
    filled = value if isinstance(mode, str) else mode
    for k in range(len(amount) // 2):
        left, right = _hint(amount[2 * k]) or 0, _hint(amount[2 * k + 1]) or 0
        labels = dims[-1 - k]
        if not (left or right):
            continue
        if isinstance(labels, int):
            dims[-1 - k] = labels or p.reason("padded")
        elif not constant or min(left, right) < 0:
            dims[-1 - k] = p.pin(labels, "padded with its own values, or cropped")
        else:
            wide = np.concatenate([p.atoms.fresh(left), labels, p.atoms.fresh(right)])
            dims[-1 - k] = p.alive(wide) if filled else wide
    return dims
