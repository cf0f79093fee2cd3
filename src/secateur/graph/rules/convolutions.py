"""Convolutions: plain, grouped, depthwise, transposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..labelling import rule
from ..views import Dims, Labels, reshape

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling


@rule("conv1d", "conv2d", "conv3d")
def conv(
    p: Labelling,
    x: fx.Node,
    weight: fx.Node,
    bias: fx.Node | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Dims:
    """Out of ``weight[0]``, into ``weight[1]``."""
    return _conv(p, x, weight, bias, groups, transposed=False)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    p: Labelling,
    x: fx.Node,
    weight: fx.Node,
    bias: fx.Node | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Dims:
    """Out of ``weight[1]``, into ``weight[0]``."""
    return _conv(p, x, weight, bias, groups, transposed=True)


@rule("convolution", "_convolution")
def convolution(
    p: Labelling,
    x: fx.Node,
    weight: fx.Node,
    bias: fx.Node | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *_: Any,
) -> Dims:
    """Either kind."""
    return _conv(p, x, weight, bias, groups, transposed=transposed)


def _conv(p: Labelling, x: fx.Node, weight: fx.Node, bias: fx.Node | None, groups: int, *, transposed: bool) -> Dims:
    dims, w, shape = p.of(x), p.of(weight), p.shape(weight)
    taps = len(shape) - 2
    channels = len(dims) - taps - 1
    for labels in (*w[2:], *dims[channels + 1 :]):
        p.pin(labels, "a convolution slides along it", hidden=True)
    out: Labels
    if groups == 1:
        given, out = (w[0], w[1]) if transposed else (w[1], w[0])
        p.contract(dims[channels], p.consume(weight, given))
    elif transposed:
        out = _grouped_transposed(p, dims[channels], weight, groups)
    else:
        out = _grouped(p, dims[channels], weight, groups)
    p.produce(weight, w[1] if transposed else w[0])
    if bias is not None:
        p.join(out, p.of(bias)[0])
        dims = [p.alive(d) for d in dims]  # zeros in become the bias
    fixed = p.reason("a convolution slides along it", hidden=True)
    return [*dims[:channels], out, *[fixed] * taps]


def _grouped(p: Labelling, given: Labels, weight: fx.Node, groups: int) -> Labels:
    """A channel is a group and a place in it; every group has as many places."""
    w, shape = p.of(weight), p.shape(weight)
    n_in, n_out = shape[1], shape[0] // groups
    cells = p.cells(given, groups * n_in)
    from_group, place = reshape(p.atoms, [cells], [groups * n_in], [groups, n_in])
    to_group, _ = reshape(p.atoms, [w[0]], [shape[0]], [groups, n_out])
    p.join(from_group, to_group)
    if n_in > 1:
        p.contract(place, p.consume(weight, w[1]))
    return w[0]


def _grouped_transposed(p: Labelling, given: Labels, weight: fx.Node, groups: int) -> Labels:
    """The weight is ``[in, out / groups]``: it has the input's groups and, in each, the output's places."""
    w, shape = p.of(weight), p.shape(weight)
    p.contract(p.cells(given, shape[0]), p.consume(weight, w[0]))
    group, _ = reshape(p.atoms, [w[0]], [shape[0]], [groups, shape[0] // groups])
    return reshape(p.atoms, [group, w[1]], [groups, shape[1]], [groups * shape[1]])[0]
