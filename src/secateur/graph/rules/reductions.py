"""Reductions: a sum lets go of a zero, a mean counts it, anything else needs all its indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..labelling import rule
from ..views import Dims
from .norms import average

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling


def drop(dims: Dims, where: int | Sequence[int] | None, keep: bool) -> Dims:
    """Labels after a reduction over the dimensions ``where`` (all of them if none is named)."""
    gone = _places(len(dims), where)
    return [0 if k in gone else d for k, d in enumerate(dims) if keep or k not in gone]


def _places(rank: int, where: int | Sequence[int] | None) -> set[int]:
    if where is None or (not isinstance(where, int) and not len(where)):
        return set(range(rank))
    return {k % rank for k in ([where] if isinstance(where, int) else where)} if rank else set()


@rule("sum", "nansum")
def sum_(p: Labelling, x: fx.Node, dim: Any = None, keepdim: bool = False, **_: Any) -> Dims:
    """A zero adds nothing."""
    dims = p.of(x)
    for k in _places(len(dims), dim):
        p.add_up(dims[k], "adds up what is not zero without it")
    return drop(dims, dim, keepdim)


@rule("mean", "var", "std", "var_mean", "std_mean")
def mean(p: Labelling, x: fx.Node, dim: Any = None, *rest: Any, keepdim: bool = False, **_: Any) -> Any:
    """A mean that a norm divides by is one of its statistics; any other needs all its indices."""
    assert p.node is not None
    name = p.node.target.__name__ if callable(p.node.target) else ""
    keep = keepdim or bool(rest and rest[-1] is True)
    dims = p.of(x)
    for k in _places(len(dims), dim):
        if name.startswith("mean") and _is_divisor(p.node) and not isinstance(dims[k], int):
            average(p, dims[k])
        else:
            p.pin(dims[k], f"'{name.split('.')[0]}' counts its indices")
    out = drop(p.of(x), dim, keep)
    return [out, list(out)] if isinstance(p.node.meta["val"], list | tuple) else out


def _is_divisor(node: fx.Node) -> bool:
    """Mean → + ε → a divisor, or mean of squares → + ε → square root: what decomposed norms look like."""
    squares = _opname(node.args[0]) in ("pow", "square", "mul")
    for _ in range(3):
        users = list(node.users)
        names = {_opname(u) for u in users}
        if squares and names and names <= {"rsqrt", "sqrt"}:
            return True
        if names == {"div"} and all(len(u.args) > 1 and u.args[1] is node and u.args[0] is not node for u in users):
            return True
        if len(users) != 1 or not names <= {"add", "clamp", "clamp_min"}:
            return False
        node = users[0]
    return False


def _opname(node: Any) -> str:
    return getattr(getattr(node, "target", None), "_opname", "")


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum", "cumprod", "logcumsumexp")
def whole(p: Labelling, x: fx.Node, dim: int, *_: Any, **__: Any) -> Dims:
    """Every index depends on every other; none is zero after it."""
    assert p.node is not None
    dims = p.of(x)
    if dims:
        dims[dim] = p.pin(dims[dim], f"'{getattr(p.node.target, '_opname', p.node.target)}' runs over it")
    return [p.alive(d) for d in dims]


@rule("amax", "amin", "any", "all", "argmax", "argmin", "max", "min", "prod", "logsumexp", "median", "count_nonzero")
def extreme(p: Labelling, x: fx.Node, dim: Any = None, keepdim: Any = False, **_: Any) -> Any:
    """Over one tensor; the maximum of two is elementwise."""
    assert p.node is not None
    if hasattr(dim, "meta"):
        return [p.alive(d) for d in p.broadcast([x, dim])]
    dims, name = p.of(x), getattr(p.node.target, "_opname", "")
    for k in _places(len(dims), dim):
        p.pin(dims[k], f"'{name}' runs over it")
    out = drop(p.of(x), dim, bool(keepdim))
    return [out, list(out)] if isinstance(p.node.meta["val"], list | tuple) else out


@rule("topk", "sort", "argsort")
def order(p: Labelling, x: fx.Node, *args: Any, dim: int | None = None, **_: Any) -> Any:
    """Values in the order of one dimension."""
    assert p.node is not None
    name = getattr(p.node.target, "_opname", "")
    at = dim if dim is not None else args[1] if name == "topk" and len(args) > 1 else args[0] if name != "topk" and args else -1
    dims = p.of(x)
    dims[at] = p.pin(dims[at], f"'{name}' runs over it")
    return [dims, list(dims)] if isinstance(p.node.meta["val"], list | tuple) else dims


@rule("linalg_vector_norm", "norm", "cosine_similarity")
def vector_norm(p: Labelling, x: fx.Node, *args: Any, **kwargs: Any) -> Any:
    """A sum of powers: an index that is zero adds nothing."""
    assert p.node is not None
    if "cosine" in str(p.node.target):
        other = args[0]
        dim = args[1] if len(args) > 1 else kwargs.get("dim", 1)
        dims = p.broadcast([x, other])
        p.add_up(dims[dim], "adds up what is not zero without it")
        del dims[dim]
        return dims
    order = args[0] if args else kwargs.get("ord", kwargs.get("p", 2))
    if order is not None and (not isinstance(order, int | float) or not 0 < order < math.inf):
        return NotImplemented
    where = args[1] if len(args) > 1 else kwargs.get("dim")
    keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
    for k in _places(len(p.shape(x)), where):
        p.add_up(p.of(x)[k], "adds up what is not zero without it")
    return drop(p.of(x), where, keep)
