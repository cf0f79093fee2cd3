"""From which sparsity on zeros save time, by kind of layer, on the machine at hand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .choose import candidates
from .compiled import Compiled
from .fuse import fuse
from .read import read
from .tune import scratch, trial

__all__ = ["GRID", "LAYERS", "Line", "break_even"]

GRID = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
LAYERS: dict[str, tuple[int, int, int, int]] = {  # outputs, inputs, kernel (0: linear), pixels in a row or examples
    "1×1, 64→256, 56×56": (256, 64, 1, 56),
    "1×1, 256→1024, 14×14": (1024, 256, 1, 14),
    "1×1, 512→2048, 7×7": (2048, 512, 1, 7),
    "3×3, 64→64, 56×56": (64, 64, 3, 56),
    "3×3, 256→256, 14×14": (256, 256, 3, 14),
    "linear, 768→3072, 128 tokens": (3072, 768, 0, 128),
    "linear, 1024→1024, 8 examples": (1024, 1024, 0, 8),
    "linear, 1024→1024, 1 example": (1024, 1024, 0, 1),
}


@dataclass(frozen=True)
class Line:
    """One kind of layer.

    Attributes:
        layer: its name.
        dense_ms: of the dense kernel.
        sparse_ms: of the best sparse kernel, by sparsity.
        blocks_ms: of 8×1 blocks at 90 %.
        break_even: sparsity from which the sparse kernel is quicker; None when it never is.
    """

    layer: str
    dense_ms: float
    sparse_ms: dict[float, float]
    blocks_ms: float
    break_even: float | None


def break_even(name: str) -> Line:
    """Time one of the layers, dense and at every sparsity of the grid, on one thread.

    Args:
        name: of a layer in ``LAYERS``.

    Example:
        >>> line = break_even("linear, 1024→1024, 8 examples")
        >>> line.sparse_ms[0.95] < line.sparse_ms[0.3]
        True
    """
    dense, sparse = float("inf"), {}
    for s in GRID:
        ways = _times(name, s, 1)
        dense = min(dense, ways[True])
        sparse[s] = ways[False]
    blocks = _times(name, 0.9, 8)[False]
    return Line(name, 1e3 * dense, {s: 1e3 * t for s, t in sparse.items()}, 1e3 * blocks, _crossing(sparse, dense))


def _times(name: str, sparsity: float, block: int) -> dict[bool, float]:
    """Seconds of the best dense and the best sparse way."""
    layer, x = _layer(*LAYERS[name], sparsity, block)
    fast = Compiled(fuse(read(layer, x)), 1, None, {})
    i, part = fast.segments()[0]
    plan = fast.plan(i, part, len(x), 1)
    op = next(o for o in plan.layout.ops if o.kind == "conv")
    times = trial(plan, op, candidates(plan.layout, op, every=True), scratch(plan))
    return {dense: min(t for c, t in times.items() if c.dense == dense) for dense in (True, False)}


def _layer(outputs: int, inputs: int, kernel: int, size: int, sparsity: float, block: int) -> tuple[nn.Module, Tensor]:
    random = torch.Generator().manual_seed(0)
    if kernel:
        layer: nn.Module = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        x = torch.zeros(1, inputs, size, size)
    else:
        layer, x = nn.Linear(inputs, outputs, bias=False), torch.zeros(size, inputs)
    for weight in layer.parameters():
        alive = torch.rand(len(weight) // block, *weight.shape[1:], generator=random) >= sparsity
        weight.data = torch.randn(weight.shape, generator=random) * alive.repeat_interleave(block, 0)
    return layer, x


def _crossing(sparse: dict[float, float], dense: float) -> float | None:
    """Where a line through the measured points crosses the dense time; the lowest sparsity measured when it is below there."""
    before: tuple[float, float] | None = None
    for s, t in sorted(sparse.items()):
        if t < dense:
            return s if before is None else before[0] + (s - before[0]) * (before[1] - dense) / (before[1] - t)
        before = s, t
    return None
