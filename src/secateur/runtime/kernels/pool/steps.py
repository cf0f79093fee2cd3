"""Jobs for pooling."""

from __future__ import annotations

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step, aligned
from .. import rows
from . import strided
from .cpu import FIELDS, module

__all__ = ["pool"]


def pool(layout: Layout, op: Op) -> list[Step]:
    """The largest or the mean of every window."""
    if op.settings.get("strided"):
        return _strided(layout, op)
    source, place, taps = layout.places[op.inputs[0]], layout.places[op.name], op.settings["taps"]
    space, kind = place.space, op.kind.removesuffix("_pool")
    floats = [t.phase * space.plane + t.down * space.pitch + t.right for t in taps]
    offsets, mask = aligned(np.array(floats, np.int64) * 4), layout.mask(op.name)
    per = -(-place.form.channels // 16)
    job = make_job(
        FIELDS,
        x=source.start, x_tile=source.tile_step, x_row=source.row_step * op.settings["phases"],
        y=place.start, y_tile=place.tile_step, y_row=place.row_step,
        tiles=space.tiles, channels=place.form.channels, per=per, taps=len(taps), scale=as_bits(1 / len(taps)),
        offsets=offsets, mask=mask,
    )  # fmt: skip
    address = addresses(module(layout.target, space.vectors, kind), layout.target, ("pool",))["pool"]
    return [Step(op, f"{kind} pool", address, job, -(-place.form.channels // per), [offsets, mask])]


def _strided(layout: Layout, op: Op) -> list[Step]:
    """The same without phases: windows are read where they are."""
    taps, pitch = op.settings["taps"], layout.places[op.inputs[0]].space.pitch
    channels, kind = layout.places[op.name].form.channels, op.kind.removesuffix("_pool")
    per = -(-channels // 16)
    offsets = aligned(np.array([4 * (t.down * pitch + t.right) for t in taps], np.int64))
    mask = aligned(rows.mask_of(layout, op))
    job = make_job(
        strided.FIELDS,
        **rows.fields_of(layout, op, per),
        mask=mask,
        taps=len(taps),
        scale=as_bits(1 / len(taps)),
        offsets=offsets,
    )
    address = addresses(strided.module(layout.target, kind, op.settings["stride"][1]), layout.target, ("pool",))["pool"]
    return [Step(op, f"{kind} pool", address, job, -(-channels // per), [offsets, mask])]
