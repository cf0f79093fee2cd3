"""Jobs for layer norms."""

from __future__ import annotations

from ...graph import Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, module

__all__ = ["layer_norm"]


def layer_norm(layout: Layout, op: Op) -> list[Step]:
    """A norm over the channels of every pixel."""
    source, place, space = layout.places[op.inputs[0]], layout.places[op.name], layout.places[op.name].space
    vectors = max(t for t in (4, 3, 2, 1) if space.vectors % t == 0)
    parts = space.vectors // vectors
    weight, bias, mask = aligned(op.tensors["weight"].numpy()), aligned(op.tensors["bias"].numpy()), layout.mask(op.name)
    job = make_job(
        FIELDS,
        x=source.start, x_tile=source.tile_step, x_row=source.row_step,
        y=place.start, y_tile=place.tile_step, y_row=place.row_step,
        parts=parts, channels=place.form.channels, inverse=as_bits(1 / place.form.channels), eps=as_bits(op.settings["eps"]),
        weight=weight, bias=bias, mask=mask,
    )  # fmt: skip
    address = addresses(module(layout.target, vectors), layout.target, ("layer_norm",))["layer_norm"]
    return [Step(op, "layer norm", address, job, space.tiles * parts, [weight, bias, mask])]
