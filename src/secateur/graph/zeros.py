"""Whether what a removed unit leaves behind is zero: ``relu(0)`` is, ``sigmoid(0)`` and a softmax are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from .labelling import Labelling
from .views import Dims, segments

__all__ = ["carry", "settle"]

_PROBE = torch.tensor([[1.7, -0.6, 3.0, 0.2, -2.0]])


def settle(p: Labelling, node: fx.Node, tensors: Sequence[fx.Node], dims: Dims) -> Dims:
    """The labels of an elementwise result, marked where a removed index is not zero; found by trying it on zeros."""
    out = list(dims)
    for k in range(1, len(out) + 1):
        labels = out[-k]
        if isinstance(labels, int):
            continue
        zero = tuple(_is_zero(p, x, k) for x in tensors)
        if not _vanishes(node, tensors, zero):
            out[-k] = p.alive(labels)
        elif id(labels) in p.nonzero:
            out[-k] = labels.copy()
    return out


# Operations whose result has dimensions in the places of their arguments', and those that regroup them.
_IN_PLACE = {
    "cat", "concat", "concatenate", "split", "split_with_sizes", "chunk", "slice", "narrow", "flip", "glu", "pad",
    "constant_pad_nd", "repeat_interleave",
}  # fmt: skip
_REGROUPED = {"view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as"}


def carry(p: Labelling, tensors: Sequence[fx.Node], dims: Any) -> None:
    """Other operations: labels that they made anew may be as alive as those they were made of."""
    assert p.node is not None
    name = getattr(p.node.target, "_opname", "")
    given: Dims = [labels for x in tensors for labels in p.dims[x] or ()]
    if not any(id(labels) in p.nonzero for labels in given):
        return
    if name in _REGROUPED:
        for ins, outs in segments(p.shape(tensors[0]), p.shape(p.node)):
            _pass_on(p, [p.dims[tensors[0]][k] for k in ins], [dims[k] for k in outs])
    elif name in _IN_PLACE:
        for part in dims if isinstance(p.node.meta["val"], list | tuple) else [dims]:
            for k, made in enumerate(part):
                _pass_on(p, [p.dims[x][k] for x in tensors], made)
    else:
        _pass_on(p, given, dims)


def _pass_on(p: Labelling, given: Dims, made: Any) -> None:
    known = {id(labels) for labels in given}
    if known & p.nonzero.keys():
        p.nonzero |= {id(labels): labels for labels in _arrays(made) if id(labels) not in known}


def _arrays(dims: Any) -> Iterable[Any]:
    if isinstance(dims, list):
        for d in dims:
            yield from _arrays(d)
    elif dims is not None and not isinstance(dims, int):
        yield dims


def _is_zero(p: Labelling, x: fx.Node, k: int) -> bool:
    """Whether ``x`` has labels in its ``k``-th dimension from the right, and zeros where one is removed."""
    shape = p.shape(x)
    if len(shape) < k or shape[-k] == 1:
        return False
    labels = p.dims[x][-k]
    return not isinstance(labels, int) and id(labels) not in p.nonzero


def _vanishes(node: fx.Node, tensors: Sequence[fx.Node], zero: tuple[bool, ...]) -> bool:
    """Whether the result is zero where these operands are, whatever the others are."""
    if not any(zero):
        return False
    if "prelu" in str(node.target):
        return zero[0]

    def tried(x: Any) -> Any:
        if not isinstance(x, fx.Node):
            return x
        value = x.meta.get("val")
        if not isinstance(value, Tensor):
            return getattr(getattr(value, "node", None), "hint", value)
        known = torch.zeros_like(_PROBE) if zero[tensors.index(x)] else _PROBE
        return (known > 0 if value.dtype == torch.bool else known).to(value.dtype, copy=True)  # the operation may be in place

    args, kwargs = pytree.tree_map(tried, (node.args, node.kwargs))
    try:
        with torch.no_grad():
            result = node.target(*args, **kwargs)  # type: ignore[operator]
        return all(bool((t == 0).all()) for t in pytree.tree_leaves(result))
    except Exception:  # an operation that does not take the probe: nothing is known
        return False
