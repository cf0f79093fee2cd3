"""Every kernel's operation by torch: the oracle of the tests, and what runs where no kernel can."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .graph import Op
from .kernels.attention.reference import attention
from .kernels.depthwise.reference import depthwise
from .kernels.gemv.reference import gemv
from .kernels.layer_norm.reference import layer_norm
from .kernels.mean.reference import mean
from .kernels.pointwise.reference import activation, add, clamp, concat
from .kernels.pool.reference import avg_pool, max_pool
from .kernels.repack.reference import copied, pad, phases
from .kernels.run.reference import run
from .kernels.spmm.reference import conv
from .segments import Segment

__all__ = ["REFERENCES", "run_op", "run_segment"]

REFERENCES: dict[str, Any] = {
    "activation": activation,
    "add": add,
    "attention": attention,
    "avg_pool": avg_pool,
    "clamp": clamp,
    "concat": concat,
    "conv": conv,
    "export": copied,
    "import": copied,
    "layer_norm": layer_norm,
    "max_pool": max_pool,
    "mean": mean,
    "pad": pad,
    "phases": phases,
}


def run_op(op: Op, *inputs: Tensor) -> Tensor:
    """One operation on tensors in the user's layout, in their precision."""
    if op.depthwise:
        return depthwise(op.settings, op.tensors, *inputs)
    one = op.kind == "conv" and op.settings["groups"] == 1 and inputs[0].dim() == 2 and len(inputs[0]) == 1
    return (gemv if one else REFERENCES[op.kind])(op.settings, op.tensors, *inputs)


def run_segment(segment: Segment, values: dict[str, Any]) -> None:
    """A segment's operations; its outputs are added to the values."""
    found = run(segment.ops, {n: values[n].to(torch.float32) for n in segment.inputs}, run_op)
    values.update({n: found[n] for n in segment.outputs})
