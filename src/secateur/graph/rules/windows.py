"""Pooling and resampling: channels pass, places are fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..labelling import rule

if TYPE_CHECKING:
    from torch import fx

    from ..labelling import Labelling

_POOLS = ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "_adaptive_avg_pool", "lp_pool")
_SAMPLERS = (
    "upsample_nearest",
    "_upsample_nearest_exact",
    "upsample_linear",
    "upsample_bilinear",
    "_upsample_bilinear_aa",
    "upsample_bicubic",
    "_upsample_bicubic_aa",
    "upsample_trilinear",
    "grid_sampler_",
    "reflection_pad",
    "replication_pad",
)
_NAMES = [f"{name}{d}d" for name in (*_POOLS, *_SAMPLERS) for d in (1, 2, 3)]


@rule(*_NAMES, *(f"max_pool{d}d_with_indices" for d in (1, 2, 3)), "grid_sampler")
def window(p: Labelling, x: fx.Node, *_: Any, **__: Any) -> Any:
    """The last dimensions are places; the others pass."""
    assert p.node is not None
    name = str(getattr(p.node.target, "_opname", ""))
    spatial = next((d for d in (1, 2, 3) if f"{d}d" in name), len(p.shape(x)) - 2)
    dims = p.of(x)
    for k in range(len(dims) - spatial, len(dims)):
        dims[k] = p.pin(dims[k], f"'{name}' slides along it") or p.reason(f"'{name}' slides along it")
    value = p.node.meta["val"]
    return [list(dims) for _ in value] if isinstance(value, list | tuple) else dims


@rule("upsample_linear1d", "interpolate")
def resample(p: Labelling, x: fx.Node, *_: Any, **__: Any) -> Any:
    """The same."""
    dims = p.of(x)
    return [*dims[:2], *(p.pin(d, "resampled") for d in dims[2:])]
