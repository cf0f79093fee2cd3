"""Operations that keep every element in its place, beyond those that PyTorch tags as pointwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from ..labelling import rule
from ..views import Dims

if TYPE_CHECKING:
    from ..labelling import Labelling


@rule(
    "clone",
    "contiguous",
    "to",
    "_to_copy",
    "type_as",
    "detach",
    "detach_",
    "alias",
    "lift_fresh",
    "lift_fresh_copy",
    "dropout",
    "dropout_",
    "feature_dropout",
    "alpha_dropout",
    "native_dropout",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "rand_like",
    "randn_like",
    "bernoulli",
    "triu",
    "tril",
    "conj",
    "resolve_conj",
    "resolve_neg",
    "real",
    "imag",
    "cpu",
    "cuda",
    "float",
    "double",
    "half",
    "relu6",
    "selu",
    "selu_",
    "hardswish",
    "hardswish_",
    "hardsigmoid",
    "hardsigmoid_",
    "prelu",
    "rrelu",
    "softplus",
    "celu",
    "logsigmoid",
    "log_sigmoid",
    "softsign",
    "tanhshrink",
    "zero_",
    "fill_",
)
def same(p: Labelling, x: fx.Node, *rest: Any, **_: Any) -> Any:
    """The labels of the first argument; a slope of a PReLU is one per channel."""
    assert p.node is not None
    if "prelu" in str(p.node.target):
        slope = p.of(rest[0])
        dims = p.of(x)
        if p.shape(rest[0])[0] > 1:
            p.join(dims[1], slope[0])
        return dims
    return p.of(x) if "native_dropout" not in str(p.node.target) else [p.of(x), p.of(x)]


@rule(
    "__and__",
    "__or__",
    "__xor__",
    "__iand__",
    "__ior__",
    "floor_divide",
    "masked_fill",
    "masked_fill_",
    "where",
    "copy_",
    "copy",
    "lerp",
    "addcmul",
    "addcdiv",
    "clamp",
    "clamp_min",
    "clamp_max",
)
def together(p: Labelling, *args: Any, **_: Any) -> Dims:
    """All tensors among the arguments, index by index."""
    return p.broadcast([x for x in args if isinstance(x, fx.Node) and p.dims[x] is not None])


@rule("glu")
def glu(p: Labelling, x: fx.Node, dim: int = -1) -> Dims:
    """The two halves of a dimension are multiplied."""
    dims = p.of(x)
    labels = dims[dim]
    if not isinstance(labels, int):
        half = len(labels) // 2
        dims[dim] = p.join(labels[:half].copy(), labels[half:].copy())
    return dims


@rule("new_zeros", "new_ones", "new_full", "new_empty")
def fill(p: Labelling, *_: Any, **__: Any) -> Dims:
    """A fill made beside a tensor, whose values do not matter."""
    assert p.node is not None
    return p.made("full", p.node.meta["val"])


@rule("outer", "ger")
def outer(p: Labelling, a: fx.Node, b: fx.Node) -> Dims:
    """Every pair of two vectors."""
    return [p.of(a)[0], p.of(b)[0]]
