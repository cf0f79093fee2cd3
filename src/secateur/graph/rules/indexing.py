"""Parts of tensors that other tensors pick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import fx

from ..labelling import rule
from ..views import Dims

if TYPE_CHECKING:
    from ..labelling import Labelling


@rule("index")
def index(p: Labelling, x: fx.Node, where: Sequence[fx.Node | None]) -> Dims:
    """Indices from a tensor: they hold on to the dimensions that they pick from."""
    assert p.node is not None
    dims = p.of(x)
    used = [k for k, i in enumerate(where) if i is not None]
    indices = [i for i in where if i is not None]
    for i in indices:
        if "bool" in str(i.meta["val"].dtype):
            for labels in dims:
                p.pin(labels, "picked by a mask")
            return [p.reason("picked by a mask")] * len(p.shape(p.node))
    for k in used:
        p.pin(dims[k], "indexed by a tensor")
    picked = p.broadcast(indices)
    rest = [d for k, d in enumerate(dims) if k not in used]
    at = used[0] if used == list(range(used[0], used[-1] + 1)) else 0
    return [*rest[:at], *picked, *rest[at:]]


@rule("index_select")
def index_select(p: Labelling, x: fx.Node, dim: int, where: fx.Node) -> Dims:
    """Along one dimension."""
    dims = p.of(x)
    p.pin(dims[dim], "indexed by a tensor")
    dims[dim] = p.of(where)[0] if p.shape(where) else 0
    return dims


@rule("index_add", "index_add_", "index_copy", "index_copy_")
def index_add(p: Labelling, x: fx.Node, dim: int, where: fx.Node, source: fx.Node, **_: Any) -> Dims:
    """Rows written by number: the other dimensions are matched."""
    dims = p.of(x)
    for k, labels in enumerate(p.of(source)):
        if k == dim % len(dims):
            p.pin(labels, "written by number")
            p.pin(dims[k], "written by number")
        else:
            dims[k] = p.join(dims[k], labels)
    return dims


@rule("index_put", "index_put_")
def index_put(p: Labelling, x: fx.Node, where: Sequence[fx.Node | None], values: fx.Node, *_: Any) -> Any:
    """As :func:`index` read backwards; only the first dimensions may be indexed."""
    indices = [i for i in where if i is not None]
    if len(indices) != len(where) or any("bool" in str(i.meta["val"].dtype) for i in indices):
        return NotImplemented
    dims = p.of(x)
    for k in range(len(where)):
        dims[k] = p.pin(dims[k], "written by number")
    written: Dims = [*p.broadcast(indices), *dims[len(where) :]]
    for k, (labels, n) in enumerate(zip(reversed(p.of(values)), reversed(p.shape(values)), strict=True), 1):
        if n > 1:
            written[-k] = p.join(written[-k], labels)
    return p.of(x)


@rule("meshgrid")
def meshgrid(p: Labelling, parts: Sequence[fx.Node], indexing: str = "ij") -> list[Dims]:
    """Vectors spread over a grid of all of them."""
    dims = [p.of(x)[0] if p.shape(x) else 0 for x in parts]
    if indexing == "xy" and len(dims) > 1:
        dims[:2] = dims[1], dims[0]
    return [list(dims) for _ in parts]


@rule("gather", "take_along_dim")
def gather(p: Labelling, x: fx.Node, dim: int, where: fx.Node, **_: Any) -> Any:
    """Along one dimension; a dimension that is read in full keeps its labels."""
    if len(p.shape(x)) != len(p.shape(where)):
        return NotImplemented
    dims = p.of(x)
    for k, (labels, n) in enumerate(zip(p.of(where), p.shape(where), strict=True)):
        if k == dim % len(dims):
            p.pin(dims[k], "indexed by a tensor")
            dims[k] = labels
        elif n == p.shape(x)[k]:
            dims[k] = p.join(dims[k], labels)
        else:
            p.pin(dims[k], "only its first indices are read")
            dims[k] = labels
    return dims


@rule("embedding")
def embedding(p: Labelling, weight: fx.Node, indices: fx.Node, *_: Any, **__: Any) -> Dims:
    """Rows of a table."""
    rows, columns = p.of(weight)
    p.pin(rows, "rows of a table that values pick from")
    return [*p.of(indices), p.produce(weight, columns)]
