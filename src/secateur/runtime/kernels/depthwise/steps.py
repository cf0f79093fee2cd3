"""Jobs for depthwise convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import make_job
from ...plan import Layout, Step, aligned
from .. import rows
from . import strided
from .cpu import FIELDS, module

__all__ = ["depthwise"]


def depthwise(layout: Layout, op: Op, why: str = "") -> list[Step]:
    """One depthwise layer, with bias, activation and clamp."""
    source, place, settings = layout.places[op.inputs[0]], layout.places[op.name], op.settings
    space, row, pitch = place.space, source.row_step // 4, source.space.pitch
    found = list(dict.fromkeys((t.phase, t.down) for t in settings["taps"]))
    taps = tuple((found.index((t.phase, t.down)), t.right) for t in settings["taps"])
    lines = aligned(np.array([4 * (phase * row + down * pitch) for phase, down in found], np.int64))
    weight, bias = aligned(op.tensors["weight"].numpy().reshape(-1)), aligned(op.tensors["bias"].numpy())
    limits = aligned(np.array(settings["range"], np.float32))
    channels, strides = place.form.channels, settings.get("strided")
    parts = min(channels, 16 if strides else -(-16 // space.tiles))
    per = -(-channels // parts)
    parts = -(-channels // per)
    own: dict[str, Any] = {"lines": lines, "weight": weight, "bias": bias, "range": limits}
    after = settings["function"], settings["parameter"]
    if strides:
        mask = aligned(rows.mask_of(layout, op))
        job = make_job(strided.FIELDS, **rows.fields_of(layout, op, per), mask=mask, **own)
        text = strided.module(layout.target, settings["stride"][1], taps, *after)
    else:
        mask = layout.mask(op.name)
        job = make_job(
            FIELDS, x=source.start, x_tile=source.tile_step, x_row=source.row_step * settings["phases"],
            y=place.start, y_tile=place.tile_step, y_row=place.row_step, parts=parts, channels=channels, per=per,
            mask=mask, **own,
        )  # fmt: skip
        text = module(layout.target, space.vectors, taps, *after)
    address = addresses(text, layout.target, ("depthwise",))["depthwise"]
    kernel = "depthwise" + (f", {settings['function']}" if settings["function"] else "")
    sparsity = 1 - np.count_nonzero(weight) / weight.size
    tasks = parts if strides else parts * space.tiles
    keep = [mask, *own.values()]
    return [Step(op, kernel, address, job, tasks, keep, why, sparsity, weight.nbytes, by_tile=not strides)]
