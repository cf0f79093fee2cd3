"""Views: no element is new, only its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..labelling import rule, sizes
from ..views import Dims, merge, reshape, split

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as")
def view(p: Labelling, x: fx.Node, *_: Any, **__: Any) -> Dims:
    """Sizes regrouped."""
    assert p.node is not None
    return reshape(p.atoms, p.of(x), p.shape(x), p.shape(p.node))


@rule("unsqueeze", "unsqueeze_")
def unsqueeze(p: Labelling, x: fx.Node, dim: int) -> Dims:
    """A new size of 1."""
    dims = p.of(x)
    dims.insert(dim if dim >= 0 else len(dims) + 1 + dim, 0)
    return dims


@rule("squeeze", "squeeze_")
def squeeze(p: Labelling, x: fx.Node, dim: int | Sequence[int] | None = None) -> Dims:
    """Sizes of 1 go."""
    dims, shape = p.of(x), p.shape(x)
    gone = range(len(dims)) if dim is None else [dim] if isinstance(dim, int) else dim
    places = {k % len(dims) for k in gone} if dims else set()
    return [d for k, d in enumerate(dims) if not (k in places and shape[k] == 1)]


@rule("permute")
def permute(p: Labelling, x: fx.Node, order: Sequence[int]) -> Dims:
    """Dimensions in another order."""
    dims = p.of(x)
    return [dims[k] for k in order]


@rule("transpose", "transpose_", "swapaxes", "swapdims")
def transpose(p: Labelling, x: fx.Node, a: int, b: int) -> Dims:
    """Two dimensions change places."""
    dims = p.of(x)
    if dims:
        dims[a], dims[b] = dims[b], dims[a]
    return dims


@rule("t", "numpy_T", "mT", "adjoint", "matrix_H", "t_")
def matrix_transpose(p: Labelling, x: fx.Node) -> Dims:
    """The last two do."""
    dims = p.of(x)
    return dims if len(dims) < 2 else [*dims[:-2], dims[-1], dims[-2]]


@rule("movedim", "moveaxis")
def movedim(p: Labelling, x: fx.Node, source: int | Sequence[int], target: int | Sequence[int]) -> Dims:
    """Some move to given places, the others keep their order."""
    dims = p.of(x)
    n = len(dims)
    sources = [k % n for k in ([source] if isinstance(source, int) else source)]
    targets = [k % n for k in ([target] if isinstance(target, int) else target)]
    order = [k for k in range(n) if k not in sources]
    for at, k in sorted(zip(targets, sources, strict=True)):
        order.insert(at, k)
    return [dims[k] for k in order]


@rule("expand", "expand_as", "broadcast_to")
def expand(p: Labelling, x: fx.Node, *_: Any, **__: Any) -> Dims:
    """A copy of an index may be thinned out later, whatever the others do: the new size gets cells of its own."""
    assert p.node is not None
    wide = p.shape(p.node)
    new = len(wide) - len(p.shape(x))
    dims, before = [0] * new + p.of(x), [1] * new + list(p.shape(x))
    return [p.alive(p.atoms.fresh(m)) if n == 1 and m > 1 else d for d, n, m in zip(dims, before, wide, strict=True)]


@rule("pixel_shuffle")
def pixel_shuffle(p: Labelling, x: fx.Node, factor: int) -> Dims:
    """Channels ``[c, r, r]`` to an image ``r`` times as large."""
    *lead, channels, _height, _width = p.of(x)
    n = p.shape(x)[-3]
    own, across = split(p.atoms, channels, [n // factor**2, factor**2]) if n > factor**2 else (0, channels)
    p.pin(across, "pixel_shuffle spreads it over the image")
    fixed = p.reason("height and width", hidden=True)
    return [*lead, own, fixed, fixed]


@rule("pixel_unshuffle")
def pixel_unshuffle(p: Labelling, x: fx.Node, factor: int) -> Dims:
    """And back."""
    *lead, channels, _height, _width = p.of(x)
    fixed = p.reason("height and width", hidden=True)
    return [*lead, merge(p.atoms, [channels, fixed], [p.shape(x)[-3], factor**2]), fixed, fixed]


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(p: Labelling, x: fx.Node, groups: int) -> Dims:
    """Channels ``[groups, n]`` transposed."""
    dims, n = p.of(x), p.shape(x)[1]
    parts = reshape(p.atoms, [dims[1]], [n], [groups, n // groups])
    dims[1] = reshape(p.atoms, parts[::-1], [n // groups, groups], [n])[0]
    return dims


@rule("unfold")
def unfold(p: Labelling, x: fx.Node, dim: int, *_: Any) -> Dims:
    """Sliding windows along one dimension, as ``Tensor.unfold``."""
    assert p.node is not None
    dims = p.of(x)
    dims[dim] = p.pin(dims[dim], "windows slide along it")
    return [*dims, p.reason("window", hidden=True)]


@rule("im2col")
def im2col(p: Labelling, x: fx.Node, kernel: Sequence[int], *_: Any) -> Dims:
    """Channels and the taps of a window, as one dimension."""
    *lead, channels, _height, _width = p.of(x)
    fixed = p.reason("window", hidden=True)
    return [*lead, merge(p.atoms, [channels, fixed], [p.shape(x)[-3], kernel[0] * kernel[1]]), fixed]


@rule("view_as_complex", "view_as_real")
def complex_view(p: Labelling, x: fx.Node) -> Dims:
    """Pairs of real numbers as complex ones, or back."""
    assert p.node is not None
    dims = p.of(x)
    if len(sizes(p.node.meta["val"])) < len(dims):
        p.pin(dims[-1], "the real and the imaginary part")
        return dims[:-1]
    return [*dims, p.reason("the real and the imaginary part", hidden=True)]
