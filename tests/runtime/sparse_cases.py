"""Small modules with zeros, and the float64 answer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from secateur.runtime import Compiled
from secateur.runtime.choose import build, candidates, layer
from secateur.runtime.compiled import Compiled as _Compiled
from secateur.runtime.fuse import fuse
from secateur.runtime.graph import Op
from secateur.runtime.kernels.spmm.steps import Choice
from secateur.runtime.plan import Layout, Step, lay_out
from secateur.runtime.pool import execute
from secateur.runtime.read import read
from secateur.runtime.segments import Segment
from secateur.runtime.workspace import Workspace


def sparse_(module: nn.Module, sparsity: float, seed: int = 0, rows: bool = False) -> nn.Module:
    """Zero weights at random, whole rows too."""
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            with torch.no_grad():
                parameter.mul_(torch.rand(parameter.shape, generator=random) >= sparsity)
                if rows:
                    parameter[torch.rand(len(parameter), generator=random) < 0.5] = 0
    return module


def moved_(module: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms with statistics, biases and scales of their own."""
    random = torch.Generator().manual_seed(seed)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            for tensor, low in ((m.running_mean, -1.0), (m.running_var, 0.5), (m.weight.data, 0.5), (m.bias.data, -1.0)):
                tensor.copy_(low + torch.rand(tensor.shape, generator=random))
    return module.eval()


def kernels(module: nn.Module, x: Any, threads: int = 1, vectors: str | None = None) -> Compiled:
    """Compiled by rule, without trials and without the check that ``compile`` makes."""
    return _Compiled(fuse(read(module, x)), threads, vectors, {})


def error(module: nn.Module, fast: Any, x: Tensor) -> float:
    """Largest difference to float64 / largest value."""
    with torch.inference_mode():
        expected = module.double().eval()(x.double())
        module.float()
    found = fast(x)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    return float((found.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-30))


def torch_ops(fast: Compiled) -> list[str]:
    """What was left to torch."""
    return [op.label for op in fast.graph.ops if op.kind == "torch"]


def every_way(net: nn.Module, x: Tensor) -> dict[Choice, Tensor]:
    """What a model of one layer with weights gives, computed in every way that the tuner may pick, also for several threads."""
    fast = kernels(net, x)
    part = fast._parts[0]
    assert isinstance(part, Segment)
    batch = len(x) if part.matrix else 1
    layout = fast.plan(0, part, batch, 1).layout
    op = next(o for o in layout.ops if o.kind == "conv")
    found = {}
    for way in [*candidates(layout, op, 1, every=True), *candidates(layout, op, 4)]:

        def made(layout: Layout, o: Op, way: Choice = way) -> list[Step]:
            return layer(layout, o, way) if o.kind == "conv" else build(layout, o, None)

        plan = lay_out(part, fast.graph.forms, batch, fast.target, made)
        with torch.inference_mode():
            y = torch.full_like(net(x), math.nan)
        workspace = Workspace(plan.layout, 1)
        workspace.outside([x.data_ptr(), y.data_ptr()])
        execute(plan, workspace.address, workspace.stride, 1 if part.matrix else len(x), 1)
        found[way] = y
    return found
