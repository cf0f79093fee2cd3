"""Which kernel does an operation, and why: the one place that chooses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .graph import Op
from .kernels.attention.steps import attention
from .kernels.depthwise.steps import depthwise
from .kernels.gemv.steps import gemv
from .kernels.layer_norm.steps import layer_norm
from .kernels.mean.steps import mean
from .kernels.pointwise.steps import concat, pointwise
from .kernels.pool.steps import pool
from .kernels.repack.steps import bring, pad, phases, take
from .kernels.spmm.cpu import Shape
from .kernels.spmm.steps import Choice, matrix, offsets_of, spmm
from .plan import Layout, Step

__all__ = ["build", "candidates", "layer", "possible"]

_KERNELS: dict[str, Callable[[Layout, Op], list[Step]]] = {
    "import": bring,
    "export": take,
    "pad": pad,
    "phases": phases,
    "max_pool": pool,
    "avg_pool": pool,
    "mean": mean,
    "add": pointwise,
    "clamp": pointwise,
    "activation": pointwise,
    "concat": concat,
    "layer_norm": layer_norm,
    "attention": attention,
}
_DENSE_BELOW, _SPARSE_ABOVE = 0.3, 0.85  # outside these no measurement has gone the other way
_NEAR = 192 << 10  # bytes of weights that stay in a core's own cache beside the pixels
_BLOCK = 0.95  # share of a block's weights that must be there
_WIDTHS = (9, 8, 4, 3, 2)  # columns of a block worked on together; of wider blocks a part


def build(layout: Layout, op: Op, pick: tuple[Choice, str] | None, threads: int = 1) -> list[Step]:
    """The steps for an operation.

    Args:
        layout: where its values lie.
        op: what to do.
        pick: a choice already made, with its reason; one that this layer cannot have is passed over.
        threads: that will share the work.
    """
    if op.kind != "conv":
        return _KERNELS[op.kind](layout, op)
    if pick is None or not possible(layout, op, pick[0], threads):
        pick = candidates(layout, op, threads)[0], "by rule"
    return layer(layout, op, *pick)


def possible(layout: Layout, op: Op, choice: Choice, threads: int) -> bool:
    """Whether a choice is one of this layer's: what comes from a file is no more than a hint."""
    return choice in candidates(layout, op, threads, every=True)


def layer(layout: Layout, op: Op, choice: Choice, why: str = "") -> list[Step]:
    """The steps of a layer with weights, as chosen."""
    if choice.dense and op.depthwise:
        return depthwise(layout, op, why)
    if choice.dense and layout.target.width == 1:
        return gemv(layout, op, why)
    return spmm(layout, op, choice, why)


def candidates(layout: Layout, op: Op, threads: int = 1, every: bool = False) -> list[Choice]:
    """Ways to compute a layer, the likeliest first; dense and sparse ones only where either may win, unless all are asked for."""
    weight, space = matrix(op), layout.places[op.name].space
    sparsity = 1 - np.count_nonzero(weight) / max(weight.size, 1)
    dense = _dense(layout, op, weight)
    sparse = [] if op.settings.get("strided") else _sparse(layout, op, weight)
    found = (
        [*dense, *sparse] if every else
        dense if not sparse or (sparsity < _DENSE_BELOW and dense) else
        sparse if sparsity > _SPARSE_ABOVE or not dense else
        [*sparse, *dense] if sparsity > 0.6 else [*dense, *sparse]
    )  # fmt: skip
    chunks = 1 if threads == 1 else max(1, min(len(weight) // 8, -(-4 * threads // space.tiles)))
    return [Choice(c.shape, c.blocks, max(c.chunks, chunks), c.dense, c.by_chunk) for c in found]


def _sparse(layout: Layout, op: Op, weight: NDArray[np.float32]) -> list[Choice]:
    target, space = layout.target, layout.places[op.name].space
    height = _height(weight, op.settings["groups"])
    heights = [h for h in (8, 4, 2, 1) if height % h == 0 and h * 4 > height]  # a block may be cut in two
    width = _width(weight, offsets_of(layout, op)[0], height)
    found = []
    for c in dict.fromkeys((width, 1)):
        able = [
            s
            for t in _parts(space.vectors)
            for h in heights
            for r in ((1, 2, 3, 4, 6, 8) if h == 1 else (1, 2))
            if (s := Shape(r, h, t, c)).fits(target)
        ]
        shapes = [s for s in able if s.sums >= 6] or able
        shapes.sort(key=lambda s: (s.height == 1 < height, abs(s.sums - (target.registers - 4)), s.rows))
        found += [Choice(s, n) for s in shapes[: 3 if width == 1 else 2] for n in _column_blocks(op, space.tile)]
    return found


def _dense(layout: Layout, op: Op, weight: NDArray[np.float32]) -> list[Choice]:
    target, space = layout.target, layout.places[op.name].space
    if target.width == 1 or op.depthwise:
        return [Choice(Shape(1, 1, 1), dense=True)]
    each = len(weight) // op.settings["groups"]
    shapes = [
        s
        for t in _parts(space.vectors)
        for b in (12, 10, 8, 6, 5, 4, 3, 2)
        if (s := Shape(1, b, t)).fits(target) and (op.settings["groups"] == 1 or each % b == 0) and b <= each
    ]
    apart = 1 if {(t.down, t.right) for t in op.settings["taps"]} == {(0, 0)} else 2  # cache lines of a vector
    costs = (lambda s: _weights_cost(s)), (lambda s: _loads_cost(s, apart))
    shapes = list(dict.fromkeys(s for cost in costs for s in sorted(shapes, key=cost)[:2]))
    # All tiles of some rows before the next rows: weights come from memory once, and what tiles read stays in cache.
    chunks = max(1, min(len(weight) // 16, -(-weight.nbytes // _NEAR)))
    return [Choice(s, n, chunks, True, chunks > 1) for s in shapes for n in _column_blocks(op, space.tile)]


def _weights_cost(shape: Shape) -> float:
    """Half cycles of a dense step for each product: products, loads or the wait for a sum; and weights on their way here."""
    return max(8, shape.sums, shape.height + shape.vectors + 1) / shape.sums + 0.35 / shape.vectors


def _loads_cost(shape: Shape, lines: int) -> float:
    """The same, where loads stand in the way: each of the pixels' is of one cache line or two."""
    loads = shape.height + lines * shape.vectors
    return (max(8, shape.sums, loads) + 0.3 * loads) / shape.sums


def _height(weight: NDArray[np.float32], groups: int) -> int:
    """The largest B for which the weights come in B×1 blocks."""
    alive = weight != 0
    total = int(alive.sum())
    for b in (8, 4, 2):
        if groups == 1 and len(weight) % b == 0 and total:
            blocks = alive.reshape(len(weight) // b, b, -1).any(1).sum()
            if total >= _BLOCK * b * blocks and total < weight.size:
                return b
    return 1


def _width(weight: NDArray[np.float32], offsets: NDArray[np.int64], height: int) -> int:
    """The largest C for which the weights come in B×C blocks whose inputs always lie alike."""
    alive = (weight != 0).reshape(len(weight) // height, height, -1).any(1)
    total = int(alive.sum())
    for c in _WIDTHS:
        if alive.shape[1] % c or not total or alive.all():
            continue
        apart = offsets.reshape(-1, c) - offsets[::c, None]
        blocks = alive.reshape(len(alive), -1, c).any(2).sum()
        if (apart == apart[0]).all() and total >= _BLOCK * c * blocks:
            return c
    return 1


def _parts(vectors: int) -> list[int]:
    return [t for t in range(vectors, 0, -1) if vectors % t == 0]


def _column_blocks(op: Op, tile: int) -> list[int]:
    """Parts of the columns whose inputs take about 8 to 32 KB each."""
    channels = op.tensors["weight"].shape[1]
    wanted = [1, 2, 4, 8, 16, 32]
    size = 4 * tile * channels * op.settings["phases"]
    fit = [n for n in wanted if channels // n >= 8 and size / n > 6000]
    likely = min(fit or [1], key=lambda n: abs(np.log2(size / n / 24000)))
    return sorted(fit or [1], key=lambda n: abs(np.log2(n / likely)))[:3]
