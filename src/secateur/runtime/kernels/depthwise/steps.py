"""Jobs for depthwise convolutions."""

from __future__ import annotations

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, module

__all__ = ["depthwise", "is_depthwise"]

_MOST = 49  # weights of a window, all unrolled


def is_depthwise(op: Op) -> bool:
    """Whether every channel of an image has one window of its own, and nothing is added."""
    weight, form = op.tensors["weight"], op.form
    image = form is not None and form.kind == "image"
    return image and op.settings["groups"] == len(weight) and weight[0].numel() <= _MOST and len(op.inputs) == 1


def depthwise(layout: Layout, op: Op, why: str = "") -> list[Step]:
    """One depthwise layer, with bias, activation and clamp."""
    source, place, settings = layout.places[op.inputs[0]], layout.places[op.name], op.settings
    space, row, pitch = place.space, source.row_step // 4, source.space.pitch
    found = list(dict.fromkeys((t.phase, t.down) for t in settings["taps"]))
    taps = tuple((found.index((t.phase, t.down)), t.right) for t in settings["taps"])
    lines = aligned(np.array([4 * (phase * row + down * pitch) for phase, down in found], np.int64))
    weight, bias = aligned(op.tensors["weight"].numpy().reshape(-1)), aligned(op.tensors["bias"].numpy())
    limits, mask = aligned(np.array(settings["range"], np.float32)), layout.mask(op.name)
    channels, per = place.form.channels, -(-place.form.channels // 16)
    job = make_job(
        FIELDS, x=source.start, x_tile=source.tile_step, x_row=source.row_step * settings["phases"],
        y=place.start, y_tile=place.tile_step, y_row=place.row_step, tiles=space.tiles, channels=channels, per=per,
        lines=lines, weight=weight, bias=bias, range=limits, mask=mask,
    )  # fmt: skip
    text = module(layout.target, space.vectors, taps, settings["function"], settings["parameter"])
    address = addresses(text, layout.target, ("depthwise",))["depthwise"]
    kernel = "depthwise" + (f", {settings['function']}" if settings["function"] else "")
    sparsity = 1 - np.count_nonzero(weight) / weight.size
    keep = [lines, weight, bias, limits, mask]
    return [Step(op, kernel, address, job, -(-channels // per), keep, why, sparsity, weight.nbytes)]
