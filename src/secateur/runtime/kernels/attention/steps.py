"""Jobs for attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph import Op
from ...jit import addresses
from ...job import as_bits, make_job
from ...plan import Layout, Step, aligned
from .cpu import FIELDS, KEYS, module

__all__ = ["attention"]


def attention(layout: Layout, op: Op) -> list[Step]:
    """All heads of one layer."""
    places = dict(zip("qkvy", [*(layout.places[n] for n in op.inputs[:3]), layout.places[op.name]], strict=True))
    space, form = places["y"].space, places["y"].form
    vectors = max(t for t in (3, 2, 1) if space.vectors % t == 0)
    parts, heads, mask = space.vectors // vectors, op.settings["heads"], layout.mask(op.name)
    sides = {f"{s}{n}": x for s, p in places.items() for n, x in (("", p.start), ("_tile", p.tile_step), ("_row", p.row_step))}
    added = _added(layout, op, space.tile)
    job = make_job(
        FIELDS, **sides, parts=parts, per_head=space.tiles * parts, depth=form.channels // heads, keys=form.width,
        tile=space.tile, scale=as_bits(op.settings["scale"]), mask=mask, **added,
    )  # fmt: skip
    text = module(layout.target, vectors, added["added_key"] > 0, op.settings["causal"])
    address = addresses(text, layout.target, ("attention",))["attention"]
    kernel = f"attention, {heads} heads" + ", causal" * op.settings["causal"] + ", masked" * (added["added_key"] > 0)
    return [Step(op, kernel, address, job, heads * space.tiles * parts, [mask, added["fixed"]])]


def _added(layout: Layout, op: Op, tile: int) -> dict[str, Any]:
    """A mask that comes from outside, or one that is known: ``[heads or 1, keys, queries]``."""
    if len(op.inputs) == 4:
        place = layout.places[op.inputs[3]]
        head = place.row_step if place.form.channels > 1 else 0
        return {"added": place.start, "added_head": head, "added_key": 4 * place.space.pitch, "fixed": None}
    if "mask" not in op.tensors:
        return {"added": 0, "added_head": 0, "added_key": 0, "fixed": None}
    known = op.tensors["mask"].numpy()
    heads, keys, queries = known.shape
    padded = np.zeros((heads, keys + KEYS, -(-queries // tile) * tile), np.float32)
    padded[:, :keys, :queries] = known
    fixed, key = aligned(padded), 4 * padded.shape[2]
    return {"added": 0, "added_head": key * padded.shape[1] if heads > 1 else 0, "added_key": key, "fixed": fixed}
