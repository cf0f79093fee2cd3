"""Multiply-adds of every ATen contraction: one rule per family, from shapes alone.

A rule returns ``Contraction(macs, weights)``: the multiply-adds of the whole batch and the arguments that may be the
weight, the likeliest first. It is told how to find a shape, so that a smaller model can be counted before it exists.
Biases, activations, normalisation and pooling are no contractions and cost 0, as in Blalock et al. 2020.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor
from torch.fx import Node

__all__ = ["RULES", "Contraction", "arguments", "looks_like_contraction", "shape"]


class Contraction(NamedTuple):
    """Multiply-adds of one contraction and the arguments that may be its weight."""

    macs: int
    weights: tuple[Node, ...] = ()


Arguments: TypeAlias = dict[str, Any]
Shape: TypeAlias = Callable[[Node], tuple[int, ...]]
Rule: TypeAlias = Callable[[Node, Arguments, Shape], list[Contraction]]
RULES: dict[str, Rule] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register a rule for the ATen operations of these names, all overloads."""

    def register(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, f))
        return f

    return register


def arguments(node: Node) -> Arguments:
    """The arguments of a call by the names of its schema, defaults included."""
    schema = node.target._schema  # type: ignore[union-attr]
    given = dict(zip((a.name for a in schema.arguments), node.args, strict=False))
    defaults = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    return {**defaults, **given, **node.kwargs}


def shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's (first) result at the sizes of the example.

    Raises:
        LookupError: a size depends on the values of the data.
    """
    value = node.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    return tuple(_size(s) for s in value.shape) if isinstance(value, Tensor) else ()


def _size(s: Any) -> int:
    if isinstance(s, int):
        return s
    hint = getattr(s.node, "hint", None)
    if hint is None:
        raise LookupError(f"the size {s} depends on the data")
    return int(hint)


def _first(a: Arguments, *names: str) -> Node:
    """The argument by whichever of these names the operation has."""
    return next(a[n] for n in names if n in a)  # type: ignore[no-any-return]


def looks_like_contraction(op: str) -> bool:
    """Whether an operation without a rule may hide multiply-adds: by the words of its name.

    Example:
        >>> looks_like_contraction("aten::_native_multi_head_attention")
        True
        >>> looks_like_contraction("aten::upsample_bilinear2d")
        False
    """
    namespace, _, name = op.partition("::")
    if namespace not in ("aten", "prim", "prims", "_operator", "higher_order"):
        return True  # an operation of someone's own can hold anything
    return not _INNOCENT.search(name) and bool(_SUSPECT.search(name))


_SUSPECT = re.compile(
    r"(^|_)(add)?(b|m)?(mm|mv|addmm|baddbmm|addbmm)(_|$)|matmul|conv\d|conv_|convolution|(^|_)linear(_|$)|attention|lstm"
    r"|(^|_)gru|(^|_)rnn|einsum|linear$|cdist|pdist|dot(_|$)|tensordot|(^|_)inner(_|$)|kron|linalg|cholesky|(^|_)fft|matrix"
    r"|encoder_layer|deform"
)
_INNOCENT = re.compile(r"upsample|grid_sampler|norm(_|$)|linalg_cross|linalg_diagonal")


@rule("linear", "_weight_int8pack_mm")
def _linear(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    x = _first(a, "input", "self")
    w = _first(a, "weight", "mat2")
    return [Contraction(prod(shape(node)) * shape(x)[-1], (w, x))]


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "_int_mm", "_scaled_mm", "linalg_matmul")
def _matmul(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    left, right = a["self"], _first(a, "other", "mat2", "vec", "tensor", "vec2")
    return [Contraction(prod(shape(node)) * shape(left)[-1], (right, left))]


@rule("addmm", "addmv", "baddbmm", "addbmm", "_addmm_activation")
def _addmm(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    left = _first(a, "mat1", "batch1", "mat")
    right = _first(a, "mat2", "batch2", "vec")
    columns = 1 if len(shape(right)) == 1 else shape(right)[-1]
    return [Contraction(prod(shape(left)) * columns, (right, left))]


@rule("_grouped_mm", "transformers::grouped_mm_fallback")
def _grouped_matmul(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """Rows sorted by expert: each meets the weight of its own."""
    rows, weight = (x for x in node.all_input_nodes[:2])
    return [Contraction(prod(shape(rows)) * shape(weight)[-1], (weight,))]


@rule("conv1d", "conv2d", "conv3d", "convolution", "_convolution", "_conv_depthwise2d", "conv_depthwise3d",
      "mkldnn_convolution", "cudnn_convolution", "thnn_conv2d", "slow_conv3d", "slow_conv_dilated2d",
      "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")  # fmt: skip
def _convolution(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """Each output (transposed: each input) element meets one filter: all of the weight but its first dimension."""
    x, w = _first(a, "input", "self"), a["weight"]
    transposed = a.get("transposed") or "transpose" in str(node.target)
    return [Contraction(prod(shape(x if transposed else node)) * prod(shape(w)[1:]), (w, x))]


@rule("conv_tbc")
def _conv_tbc(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    return [Contraction(prod(shape(node)) * prod(shape(a["weight"])[:2]), (a["weight"],))]


@rule("einsum")
def _einsum(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """Operands are joined from left to right; a step that sums nothing is an elementwise product and costs 0."""
    tensors, found = list(a["tensors"]), []
    inputs, out = _indices(a["equation"], [len(shape(t)) for t in tensors])
    sizes: dict[str, int] = {}
    for t, indices in zip(tensors, inputs, strict=True):
        for i, n in zip(indices, shape(t), strict=True):
            sizes[i] = max(sizes.get(i, 1), n)
    joined = set(inputs[0])
    for k in range(1, len(tensors)):
        needed = set(out).union(*inputs[k + 1 :])
        both = joined | set(inputs[k])
        summed = (joined & set(inputs[k])) - needed
        if summed:
            weights = (tensors[k], tensors[0]) if k == 1 else (tensors[k],)
            found.append(Contraction(prod(sizes[i] for i in both), weights))
        joined = both & needed
    return found


def _indices(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """The index names of every operand and of the result, with an ellipsis written out from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")

    def spell(term: str, rank: int) -> list[str]:
        before, dots, after = term.partition("...")
        hidden = rank - len(before) - len(after) if dots else 0
        return [*before, *(f"...{d}" for d in range(hidden, 0, -1)), *after]

    inputs = [spell(t, r) for t, r in zip(left.split(","), ranks, strict=True)]
    if not arrow:
        every = [i for term in inputs for i in term]
        return inputs, [i for i in dict.fromkeys(every) if every.count(i) == 1 or i.startswith("...")]
    widest = max((i for term in inputs for i in term if i.startswith("...")), key=lambda i: int(i[3:]), default="...0")
    hidden = int(widest[3:]) if "..." in right else 0
    return inputs, spell(right, len(right.replace("...", "")) + hidden)


@rule("tensordot")
def _tensordot(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    left = shape(a["self"])
    return [Contraction(prod(shape(node)) * prod(left[d] for d in a["dims_self"]), (a["other"], a["self"]))]


@rule("bilinear")
def _bilinear(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """The first input meets the weight, the second what comes of it."""
    outputs, (_, first, second) = prod(shape(node)), shape(a["weight"])
    return [Contraction(outputs * first * second, (a["weight"],)), Contraction(outputs * second)]


@rule("scaled_dot_product_attention", "_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_efficient_attention",
      "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_fused_attention_overrideable")  # fmt: skip
def _attention(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """Every query meets every key, then every value; a mask or causality saves nothing here."""
    query, key, value = (shape(a[k]) for k in ("query", "key", "value"))
    return [Contraction(prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))]


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def _recurrent(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    """Every weight matrix is used once per step and sequence; packed data hold one row per step."""
    x = _first(a, "input", "data")
    steps = prod(shape(x)[:-1])
    return [Contraction(steps * prod(shape(w)), (w,)) for w in a["params"] if len(shape(w)) == 2]


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def _recurrent_cell(node: Node, a: Arguments, shape: Shape) -> list[Contraction]:
    rows = prod(shape(a["input"])[:-1])
    return [Contraction(rows * prod(shape(a[k])), (a[k],)) for k in ("w_ih", "w_hh")]
