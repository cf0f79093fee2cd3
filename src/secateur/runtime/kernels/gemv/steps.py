"""Jobs for dense layers on one vector."""

from __future__ import annotations

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, VECTORS, module

__all__ = ["gemv"]


def gemv(layout: Layout, op: Op, why: str = "") -> list[Step]:
    """A dense layer on the one example of a batch."""
    weight = op.tensors["weight"].numpy()
    outputs, inputs = weight.shape[:2]
    block = VECTORS * layout.cpu.width
    blocks = -(-outputs // block)
    padded = np.zeros((blocks * block, inputs), np.float32)
    padded[:outputs] = weight.reshape(outputs, -1)
    packed = aligned(padded.reshape(blocks, block, inputs).transpose(0, 2, 1))
    bias = aligned(np.append(op.tensors["bias"].numpy(), np.zeros(blocks * block - outputs, np.float32)))
    limits = aligned(np.array(op.settings["range"], np.float32))
    residual = layout.places[op.inputs[1]].start if len(op.inputs) == 2 else -1
    job = make_job(
        FIELDS, x=layout.places[op.inputs[0]].start, y=layout.places[op.name].start, residual=residual, inputs=inputs,
        outputs=outputs, weight=packed, bias=bias, range=limits,
    )  # fmt: skip
    function = op.settings["function"]
    address = addresses(module(layout.cpu, function, op.settings["parameter"]), layout.cpu, ("gemv",))["gemv"]
    sparsity = 1 - np.count_nonzero(weight) / weight.size
    kernel = "dense, one vector" + (f", {function}" if function else "")
    return [Step(op, kernel, address, job, blocks, [packed, bias, limits], why, sparsity, packed.nbytes)]
