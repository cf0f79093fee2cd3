"""Jobs for attention."""

from __future__ import annotations

from ...graph import Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step
from .cpu import FIELDS, KEYS, module

__all__ = ["attention"]


def attention(layout: Layout, op: Op) -> list[Step]:
    """All heads of one layer."""
    places = dict(zip("qkvy", [*(layout.places[n] for n in op.inputs), layout.places[op.name]], strict=True))
    space, form = places["y"].space, places["y"].form
    vectors = max(t for t in (3, 2, 1) if space.vectors % t == 0)
    parts, heads, mask = space.vectors // vectors, op.settings["heads"], layout.mask(op.name)
    sides = {f"{s}{n}": x for s, p in places.items() for n, x in (("", p.start), ("_tile", p.tile_step), ("_row", p.row_step))}
    job = make_job(
        FIELDS, **sides, parts=parts, per_head=space.tiles * parts, depth=form.channels // heads, keys=form.width,
        padded=-(-form.width // KEYS) * KEYS, tile=space.tile, scale=as_bits(op.settings["scale"]), mask=mask,
    )  # fmt: skip
    address = addresses(module(layout.target, vectors), layout.target, ("attention",))["attention"]
    return [Step(op, f"attention, {heads} heads", address, job, heads * space.tiles * parts, [mask])]
