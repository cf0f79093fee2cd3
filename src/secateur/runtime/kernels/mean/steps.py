"""Jobs for means over pixels."""

from __future__ import annotations

from ...graph import Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step
from .cpu import FIELDS, module

__all__ = ["mean"]


def mean(layout: Layout, op: Op) -> list[Step]:
    """The mean of every channel."""
    source, place, mask = layout.places[op.inputs[0]], layout.places[op.name], layout.mask(op.inputs[0])
    form, per = source.form, -(-source.form.channels // 8)
    job = make_job(
        FIELDS,
        x=source.start, x_tile=source.tile_step, x_row=source.row_step, y=place.start, y_row=place.row_step,
        tiles=source.space.tiles, channels=form.channels, per=per, scale=as_bits(1 / (form.height * form.width)), mask=mask,
    )  # fmt: skip
    address = addresses(module(layout.target, source.space.vectors), layout.target, ("mean",))["mean"]
    return [Step(op, "mean", address, job, -(-form.channels // per), [mask])]
