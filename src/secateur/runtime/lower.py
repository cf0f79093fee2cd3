"""One ATen operation to one of ours: which kernels take it, with which settings, or why torch keeps it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from .graph import Form, Op, Ref
from .lower_attention import joined_heads

if TYPE_CHECKING:
    from .read import _Reader

__all__ = ["lower"]

_Found = Op | fx.Node | str
_RULES: dict[str, Callable[[Any, fx.Node, list[Any]], _Found]] = {}
_UNBOUNDED = (-math.inf, math.inf)


def lower(reader: _Reader, node: fx.Node) -> _Found:
    """The operation for a node; another node when it has that node's value; a sentence when torch is to do it."""
    name = str(getattr(node.target, "_opname", "")).rstrip("_")
    rule = _RULES.get(name)
    if rule is None:
        return f"there is no kernel for {name or node.target}"
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = [*node.args, *[None] * (len(schema) - len(node.args))]
    for i, argument in enumerate(schema):
        if argument.name in node.kwargs:
            given[i] = node.kwargs[argument.name]
        elif i >= len(node.args):
            given[i] = argument.default_value if argument.has_default_value() else None
    return rule(reader, node, given)


def _rule(*names: str) -> Callable[[Any], Any]:
    def register(rule: Any) -> Any:
        _RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def _weights(reader: _Reader, **nodes: Any) -> dict[str, Tensor] | None:
    """Float32 parameters; None when one is computed by forward."""
    found = {}
    for name, node in nodes.items():
        if node is None:
            continue
        tensor = reader.tensors.get(reader.name(node)) if isinstance(node, fx.Node) else None
        if tensor is None or tensor.dtype != torch.float32:
            return None
        found[name] = tensor.cpu().contiguous()
    return found


def _label(reader: _Reader, node: Any) -> str:
    return str(reader.parameters.get(node.name, node.name)).removesuffix(".weight")


def _pair(x: Any) -> tuple[int, int]:
    a = list(x) if isinstance(x, list | tuple) else [x]
    return (a[0], a[-1])


# ---------------------------------------------------------------- layers with weights


@_rule("conv2d")
def _conv(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    x, weight, bias, stride, padding, dilation, groups = given
    form, tensors = reader.form(node), _weights(reader, weight=weight, bias=bias)
    if form is None or reader.form(x) is None or tensors is None:
        return "its input is no batch of float32 images, or forward computes its weight"
    kernel = tuple(tensors["weight"].shape[2:])
    after = padding
    if isinstance(padding, str):
        both = [d * (k - 1) if padding == "same" else 0 for d, k in zip(_pair(dilation), kernel, strict=True)]
        padding, after = [n // 2 for n in both], [n - n // 2 for n in both]
    settings = {"stride": _pair(stride), "padding": _pair(padding), "after": _pair(after), "dilation": _pair(dilation)}
    settings["groups"] = groups
    return Op("conv", node.name, (reader.name(x),), form, settings, tensors, _label(reader, weight))


@_rule("linear")
def _linear(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    x, weight, bias = given
    form, tensors = reader.form(node), _weights(reader, weight=weight, bias=bias)
    source = reader.form(x)
    if form is None or source is None or tensors is None or form.kind == "image":
        return "its input is no batch of float32 vectors, or forward computes its weight"
    tensors["weight"] = tensors["weight"][:, :, None, None]
    settings = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    return Op("conv", node.name, (reader.name(x),), form, settings, tensors, _label(reader, weight))


@_rule("batch_norm")
def _batch_norm(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    x, weight, bias, mean, variance, training, _, eps, _ = given
    tensors = _weights(reader, weight=weight, bias=bias, mean=mean, variance=variance)
    form = reader.form(node)
    if training or tensors is None or form is None or form.kind == "tokens" or not {"mean", "variance"} <= tensors.keys():
        return "it takes its statistics from the batch, or is not over images"
    scale = tensors.get("weight", torch.ones(form.channels)).double() / (tensors["variance"].double() + eps).sqrt()
    shift = tensors.get("bias", torch.zeros(form.channels)).double() - tensors["mean"].double() * scale
    return Op("scale", node.name, (reader.name(x),), form, {}, {"scale": scale, "shift": shift}, _label(reader, weight or node))


# ---------------------------------------------------------------- pixel by pixel


@_rule("relu", "relu6", "hardtanh", "clamp")
def _clamp(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    form, name = reader.form(node), str(node.target._opname).rstrip("_")  # type: ignore[union-attr]
    low, high = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}.get(name) or (given[1], given[2])
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    if form is None or not isinstance(low, int | float) or not isinstance(high, int | float):
        return "its input is no batch of float32 images or vectors"
    return Op("clamp", node.name, (reader.name(given[0]),), form, {"range": (float(low), float(high))}, label=node.name)


@_rule("gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "mish", "leaky_relu", "elu")
def _activation(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    form, name = reader.form(node), str(node.target._opname).rstrip("_")  # type: ignore[union-attr]
    if form is None:
        return "its input is no batch of float32 images or vectors"
    name = "gelu_tanh" if name == "gelu" and given[1] == "tanh" else name
    if name == "elu" and (given[2] != 1 or given[3] != 1):
        return "its two sides are scaled"
    parameter = float(given[1]) if name in ("leaky_relu", "elu") else 0.0
    settings = {"function": name, "parameter": parameter, "range": _UNBOUNDED}
    return Op("activation", node.name, (reader.name(given[0]),), form, settings, label=node.name)


@_rule("layer_norm")
def _layer_norm(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    x, shape, weight, bias, eps, _ = given
    form, tensors = reader.form(node), _weights(reader, weight=weight, bias=bias)
    if form is None or form.kind == "image" or list(shape) != [form.channels] or tensors is None:
        return "it is over other dimensions than the last"
    tensors = {"weight": torch.ones(form.channels), "bias": torch.zeros(form.channels), **tensors}
    return Op("layer_norm", node.name, (reader.name(x),), form, {"eps": eps}, tensors, _label(reader, weight or node))


@_rule("add")
def _add(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    a, b, alpha = given
    form = reader.form(node)
    if form is None or not (isinstance(a, fx.Node) and isinstance(b, fx.Node)) or alpha != 1:
        return "it does not add two batches of the same form"
    if reader.form(a) != form or reader.form(b) != form:
        return "it does not add two batches of the same form"
    return Op("add", node.name, (reader.name(a), reader.name(b)), form, {"range": _UNBOUNDED}, label=node.name)


@_rule("dropout", "contiguous", "detach", "alias", "clone")
def _same(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    name = str(node.target._opname)  # type: ignore[union-attr]
    if name.startswith("dropout") and given[2]:
        return "it drops at random"
    return given[0] if reader.form(node) else "its input is no batch of float32 images or vectors"


# ---------------------------------------------------------------- over pixels


@_rule("pad", "constant_pad_nd")
def _pad(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    form, source = reader.form(node), reader.form(given[0])
    constant = node.target._opname != "pad" or given[2] == "constant"  # type: ignore[union-attr]
    value = given[-1] or 0.0
    if form is None or source is None or form.kind != "image" or len(given[1]) > 4 or not constant:
        return "it does not frame images with one value"
    left, right, above, below = [*given[1], 0, 0][:4]
    if min(given[1]) < 0 or not isinstance(value, int | float):
        return "it cuts something off"
    settings = {"pads": (above, below, left, right), "value": float(value)}
    return Op("pad", node.name, (reader.name(given[0]),), form, settings, label=node.name)


@_rule("max_pool2d", "avg_pool2d")
def _pool(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    form, source = reader.form(node), reader.form(given[0])
    if form is None or source is None or form.kind != "image":
        return "its input is no batch of float32 images"
    kernel, padding = _pair(given[1]), _pair(given[3])
    stride = _pair(given[2]) if given[2] else kernel
    kind = "max_pool" if node.target._opname == "max_pool2d" else "avg_pool"  # type: ignore[union-attr]
    dilation = _pair(given[4]) if kind == "max_pool" else (1, 1)
    ceil = given[5] if kind == "max_pool" else given[4]
    if ceil and any(
        (s + 2 * p - d * (k - 1) - 1) % t
        for s, p, d, k, t in zip((source.height, source.width), padding, dilation, kernel, stride, strict=True)
    ):
        return "its last windows reach over the border"
    settings: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    if kind == "avg_pool":
        _, _, _, _, _, with_pads, divisor = given
        if divisor is not None or (any(padding) and not with_pads):
            return "it divides by other counts than its window's"
    return Op(kind, node.name, (reader.name(given[0]),), form, settings, label=node.name)


@_rule("adaptive_avg_pool2d", "mean")
def _mean(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    x = given[0]
    source, form = reader.form(x), reader.form(node)
    if source is None or form is None or source.kind != "image":
        return "its input is no batch of float32 images"
    if node.target._opname == "mean":  # type: ignore[union-attr]
        dims = {d % 4 for d in given[1] or ()}
        if dims != {2, 3}:
            return "it is over other dimensions than height and width"
    elif (form.height, form.width) != (1, 1):
        if (form.height, form.width) == (source.height, source.width):
            return x  # type: ignore[no-any-return]
        return "its windows differ in size"
    kept = Form("image", source.channels, 1, 1)
    if form == kept:
        return Op("mean", node.name, (reader.name(x),), form, {}, label=node.name)
    name = f"{node.name}/kept"  # without the two sizes of 1 it is another form, which a view makes
    reader.ops.append(Op("mean", name, (reader.name(x),), kept, {}, label=node.name))
    reader.forms[name] = kept
    settings = {"target": "aten.flatten.using_ints", "args": [Ref(name), 1], "kwargs": {}}
    return Op("torch", node.name, (name,), form, settings, label=node.name, why="only torch has a value of this shape")


@_rule("flatten", "view", "reshape", "squeeze")
def _flatten(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    source, form = reader.form(given[0]), reader.form(node)
    if form is None:
        return "only torch has a value of this shape"
    if source == form:
        return given[0]  # type: ignore[no-any-return]
    found = joined_heads(reader, node)
    if found:
        return found
    return "only torch has a value of this shape"


@_rule("cat")
def _cat(reader: _Reader, node: fx.Node, given: list[Any]) -> _Found:
    form, parts = reader.form(node), [reader.form(x) for x in given[0]]
    dim = given[1] % 4
    if form is None or form.kind != "image" or dim != 1 or not all(parts):
        return "it does not join channels of images"
    return Op("concat", node.name, tuple(reader.name(x) for x in given[0]), form, {}, label=node.name)
