"""Normalisation layers: their scales and shifts are carried along; what they average over is noted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..labelling import Join, rule
from ..views import Dims, Labels, reshape

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling


def average(p: Labelling, labels: Labels) -> None:
    """The operation at hand takes a mean over these indices: without some of them it is over fewer."""
    if not isinstance(labels, int):
        assert p.node is not None
        p.statistics.append(Join(p.node, labels))


@rule("batch_norm", "_native_batch_norm_legit_no_training", "instance_norm", "cudnn_batch_norm", "native_batch_norm")
def batch_norm(p: Labelling, x: fx.Node, *rest: Any, **_: Any) -> Any:
    """One mean, variance, scale and shift a channel; nothing is averaged over channels."""
    assert p.node is not None
    dims = p.of(x)
    for own in rest[:4]:
        if own is not None:
            p.join(dims[1], p.of(own)[0])
    scaled = p.times(dims[1], p.of(rest[0])[0]) if rest and rest[0] is not None else dims[1]
    if len(rest) > 4 and rest[4] is True:  # statistics of what comes in: how weights are standardised
        for labels in dims[2:]:
            average(p, labels)
    dims = [p.alive(d) for d in dims]  # an example of zeros becomes the shift
    dims[1] = scaled
    value = p.node.meta["val"]
    return [dims, [0], [0]] if isinstance(value, list | tuple) else dims


@rule("layer_norm", "rms_norm", "_fused_rms_norm", "native_layer_norm")
def layer_norm(
    p: Labelling, x: fx.Node, over: Sequence[Any], weight: fx.Node | None = None, bias: Any = None, *_: Any, **__: Any
) -> Any:
    """Mean (not of ``rms_norm``) and variance over the last dimensions."""
    assert p.node is not None
    dims, rank = p.of(x), len(over)
    centred = "layer_norm" in str(p.node.target)
    for k in range(1, rank + 1):
        if weight is None and centred:
            dims[-k] = p.pin(dims[-k], "a layer norm without weights moves a zero")
        for own in (weight, bias if centred else None):
            if own is not None:
                p.join(dims[-k], p.of(own)[-k])
        average(p, dims[-k])
        if weight is not None:
            dims[-k] = p.times(dims[-k], p.of(weight)[-k])
    if centred and bias is not None:
        dims[:-rank] = [p.alive(d) for d in dims[:-rank]]  # a row of zeros becomes the shift
    return dims if not isinstance(p.node.meta["val"], list | tuple) else [dims, dims[:-rank], dims[:-rank]]


@rule("group_norm")
def group_norm(
    p: Labelling, x: fx.Node, groups: int, weight: fx.Node | None = None, bias: fx.Node | None = None, *_: Any, **__: Any
) -> Dims:
    """Mean and variance over the channels of a group."""
    dims, n = p.of(x), p.shape(x)[1]
    for own in (weight, bias):
        if own is not None:
            p.join(dims[1], p.of(own)[0])
    if not isinstance(dims[1], int):
        average(p, reshape(p.atoms, [dims[1]], [n], [groups, n // groups])[1])
        if weight is None:
            p.pin(dims[1], "a group norm without weights moves a zero")
        else:
            dims[1] = p.times(dims[1], p.of(weight)[0])
    dims[0] = p.alive(dims[0])
    for k in range(2, len(dims)):
        dims[k] = p.pin(dims[k], "a group norm averages over it")
    return dims


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(p: Labelling, v: fx.Node, g: fx.Node, _: int = 0) -> Any:
    """Direction times length: a slice that is zero has no direction, so none may be."""
    assert p.node is not None
    text = "a weight norm divides by the length of its slices"
    dims: Dims = [p.pin(d, text) for d in p.of(v)]
    for labels in p.of(g):
        p.pin(labels, text)
    both: list[Dims] = [dims, p.of(g)]
    return both if isinstance(p.node.meta["val"], list | tuple) else dims
