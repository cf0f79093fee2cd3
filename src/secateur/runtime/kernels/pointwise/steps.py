"""Jobs for sums, clamps, activations and joined channels."""

from __future__ import annotations

import math

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import make_job
from ...layout import Place
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, module

__all__ = ["concat", "pointwise"]


def pointwise(layout: Layout, op: Op) -> list[Step]:
    """A sum of two values, or an activation of one."""
    places = [layout.places[n] for n in op.inputs]
    return [_step(layout, op, op.settings.get("function", op.kind), places[0], places[-1], layout.places[op.name])]


def concat(layout: Layout, op: Op) -> list[Step]:
    """Every input copied to its channels."""
    steps, channel, place = [], 0, layout.places[op.name]
    for name in op.inputs:
        source = layout.places[name]
        steps.append(_step(layout, op, "clamp", source, source, place, first=channel))
        channel += source.form.channels
    return steps


def _step(layout: Layout, op: Op, kind: str, x: Place, z: Place, y: Place, first: int = 0) -> Step:
    limits = aligned(np.array(op.settings.get("range", (-math.inf, math.inf)), np.float32))
    mask, channels, per = layout.mask(op.name), x.form.channels, -(-x.form.channels // 16)
    job = make_job(
        FIELDS,
        x=x.start, x_tile=x.tile_step, x_row=x.row_step, z=z.start, z_tile=z.tile_step, z_row=z.row_step,
        y=y.start + first * y.row_step, y_tile=y.tile_step, y_row=y.row_step,
        tiles=y.space.tiles, channels=channels, per=per, range=limits, mask=mask,
    )  # fmt: skip
    text = module(layout.target, y.space.vectors, kind, op.settings.get("parameter", 0.0))
    address = addresses(text, layout.target, ("pointwise",))["pointwise"]
    return Step(op, kind, address, job, -(-channels // per), [limits, mask])
