"""Attention as models write it: heads split off, scaled dot products, heads joined again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from .graph import Form, Op, Ref, name_of
from .kernels.attention.reference import additive

if TYPE_CHECKING:
    from .read import _Reader

__all__ = ["joined_heads"]

_SAME = ("reshape", "view", "contiguous", "clone", "dropout")
_MOST_KEYS = 4096  # whose scores of one tile fit the stack


def joined_heads(reader: _Reader, node: fx.Node) -> Op | None:
    """The attention whose heads a reshape joins, ``[b, h, t, d] → [b, t, h·d]``; None when it is something else."""
    back = _through(node.args[0], node)
    if not _is(back, "transpose") or {d % 4 for d in back.args[1:]} != {1, 2}:
        return None
    product = _through(back.args[0], back)
    form = reader.form(node)
    if not _is(product, "scaled_dot_product_attention") or form is None or form.kind != "tokens":
        return None
    q, k, v, mask, dropout, causal, scale, gqa = _arguments(product)
    sources = [_split(reader, x) for x in (q, k, v)]
    heads, depth = q.meta["val"].shape[1], q.meta["val"].shape[3]
    same = all(s is not None and reader.form(s) == form for s in sources)
    if not same or dropout or gqa or depth % 4 or form.width > _MOST_KEYS:
        return None
    settings = {"heads": heads, "scale": scale if scale is not None else 1 / math.sqrt(depth), "causal": causal}
    inputs = tuple(reader.name(s) for s in sources if s)
    tensors: dict[str, Tensor] = {}
    if mask is not None:
        try:
            tensors, settings["causal"] = _known_mask(_constant(reader, mask, {}), heads, form.width)
        except _DependsOnInput:
            added = _computed_mask(reader, mask, heads, form.width)
            if added is None:
                return None
            inputs += (added,)
    return Op("attention", node.name, inputs, form, settings, tensors, product.name)


def _known_mask(mask: Tensor, heads: int, tokens: int) -> tuple[dict[str, Tensor], bool]:
    """A mask that depends on no input: nothing where it hides nothing; whether it is no more than causal; else itself."""
    if mask.dim() == 4 and len(mask) > 1:  # one for each example
        raise _DependsOnInput
    shared = 1 if mask.dim() < 3 or mask.shape[-3] == 1 else heads
    added = additive(mask, torch.zeros(1), tokens, tokens, shared)[0]
    if not added.any():
        return {}, False
    hidden = torch.full((tokens, tokens), -math.inf).tril(-1)  # [keys, queries]: of a key, the queries before it
    seen = torch.where(added <= torch.finfo(torch.float32).min, -math.inf, added)
    if torch.equal(seen, hidden.expand_as(seen)):
        return {}, True
    return {"mask": added}, False


def _computed_mask(reader: _Reader, mask: fx.Node, heads: int, tokens: int) -> str | None:
    """The name of a mask as numbers to add, ``[batch, heads or 1, keys, queries]``; made once for all layers that share it."""
    value = mask.meta["val"]
    if value.dtype not in (torch.bool, torch.float32) or any(x is not None and not isinstance(x, int) for x in value.shape[1:]):
        return None
    shared = 1 if value.dim() < 3 or value.shape[-3] == 1 else heads
    source = reader.name(mask)
    name = f"{source}/added/{shared}"
    if name not in reader.forms:
        args = [Ref(source), Ref(reader.first), tokens, tokens, shared]
        settings = {"target": name_of(additive), "args": args, "kwargs": {}}
        form = Form("image", shared, tokens, tokens)
        reader.ops.append(
            Op("torch", name, (source, reader.first), form, settings, label=name, why="a mask is turned round for the kernel")
        )
        reader.forms[name] = form
    return name


def _arguments(node: fx.Node) -> list[Any]:
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip([a.name for a in schema], node.args, strict=False)) | node.kwargs
    return [given.get(a.name, a.default_value if a.has_default_value() else None) for a in schema]


def _is(node: Any, name: str) -> bool:
    return isinstance(node, fx.Node) and getattr(node.target, "_opname", "") == name


def _through(node: Any, user: fx.Node) -> Any:
    """Past operations that leave sizes and values as they are."""
    while any(_is(node, n) for n in _SAME) and node.meta["val"].shape == node.args[0].meta["val"].shape:
        node = node.args[0]
    return node


def _split(reader: _Reader, node: Any) -> fx.Node | None:
    """The value ``[b, t, h·d]`` whose heads were split off into ``[b, h, t, d]``."""
    node = _through(node, node)
    if not _is(node, "transpose") or {d % 4 for d in node.args[1:]} != {1, 2}:
        return None
    view = node.args[0]
    if not (_is(view, "view") or _is(view, "reshape") or _is(view, "unflatten")):
        return None
    source = view.args[0]
    return source if reader.form(source) is not None else None


class _DependsOnInput(Exception):
    """A value is no constant."""


def _constant(reader: _Reader, node: Any, known: dict[fx.Node, Any]) -> Any:
    """A value that is computed from parameters and the batch size alone, for one example."""
    if not isinstance(node, fx.Node):
        return node
    if node in known:
        return known[node]
    if node.op == "placeholder":
        if node.name not in reader.tensors:
            raise _DependsOnInput
        return reader.tensors[node.name]
    if _is(node, "sym_size"):
        size = node.args[0].meta["val"].shape[node.args[1]]  # type: ignore[union-attr]
        if not isinstance(size, int) and size is not reader.batch and size != reader.batch:
            raise _DependsOnInput
        return size if isinstance(size, int) else 1
    if isinstance(node.meta.get("val"), Tensor) and str(node.target).rsplit(".", 2)[-2:][0].endswith("_"):
        raise _DependsOnInput

    def value(x: Any) -> Any:
        if isinstance(x, fx.Node):
            return _constant(reader, x, known)
        if isinstance(x, list | tuple):
            return [value(y) for y in x]
        return x

    known[node] = node.target(*value(node.args), **{k: value(v) for k, v in node.kwargs.items()})  # type: ignore[operator]
    return known[node]
