"""Operations as the kernels do them: copies into planes and out of them, strides taken apart into phases, taps."""

from __future__ import annotations

import dataclasses as dc
import math
from dataclasses import dataclass

from .graph import Form, Op
from .layout import Need
from .segments import Segment

__all__ = ["Tap", "expand", "need_of"]


@dataclass(frozen=True)
class Tap:
    """Where one position of a window looks, from the output's pixel.

    Attributes:
        phase: which of the input's phases.
        down: rows.
        right: columns.
    """

    phase: int
    down: int
    right: int


def expand(segment: Segment, forms: dict[str, Form], batch: int) -> list[Op]:
    """The segment's operations, with every copy and phase as an operation of its own.

    Args:
        segment: what kernels are to do.
        forms: of every value.
        batch: examples; the pixels of a matrix.
    """
    found: list[Op] = []
    sized = {n: _sized(f, batch) for n, f in forms.items()}
    for name in segment.inputs:
        found.append(Op("import", name, (), sized[name], label=f"copy of {name}"))
    for op in segment.ops:
        op = dc.replace(op, form=sized[op.name])
        if op.kind in ("conv", "max_pool", "avg_pool"):
            makers = {o.name: o for o in segment.ops}
            found += _windows(op, sized[op.inputs[0]], makers.get(op.inputs[0]))
        else:
            found.append(op)
        if op.name in segment.outputs:
            found.append(
                Op("export", f"{op.name}/out", (op.name,), sized[op.name], {"value": op.name}, label=f"copy of {op.name}")
            )
    return found


def _sized(form: Form, batch: int) -> Form:
    return dc.replace(form, width=batch) if form.kind == "matrix" else form


def _windows(op: Op, source: Form, maker: Op | None) -> list[Op]:
    """A windowed operation at stride 1, after the phases it needs have been taken apart."""
    s = op.settings
    kernel = tuple(op.tensors["weight"].shape[2:]) if op.kind == "conv" else s["kernel"]
    places = [
        (i * s["dilation"][0] - s["padding"][0], j * s["dilation"][1] - s["padding"][1])
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    (sh, sw), fill = s["stride"], -math.inf if op.kind == "max_pool" else 0.0
    positive = maker is not None and maker.settings.get("range", (-1.0,))[0] >= 0.0  # then zeros around it are never larger
    if (op.kind != "conv" or op.depthwise) and (sh, sw) != (1, 1) and sw <= 2 and (not fill or positive or not any(s["padding"])):
        taps = [Tap(0, r, c) for r, c in places]
        return [dc.replace(op, settings={**s, "taps": taps, "phases": 1, "strided": True})]
    phases = sorted({(r % sh, c % sw) for r, c in places})
    taps = [Tap(phases.index((r % sh, c % sw)), r // sh, c // sw) for r, c in places]
    op = dc.replace(op, settings={**s, "taps": taps, "phases": len(phases)})
    if (sh, sw) == (1, 1) and not (fill and not positive and any(s["padding"])):
        return [op]
    form = dc.replace(
        source, channels=source.channels * len(phases), height=-(-source.height // sh), width=-(-source.width // sw)
    )
    name = f"{op.name}/phases"
    settings = {"phases": phases, "stride": (sh, sw), "fill": fill}
    return [
        Op("phases", name, op.inputs[:1], form, settings, label=f"every {sh}×{sw} of {op.label}"),
        dc.replace(op, inputs=(name, *op.inputs[1:])),
    ]


def need_of(op: Op, source: Form) -> Need:
    """The padding around its first input that an operation reads for the pixels it gives."""
    taps, form = op.settings.get("taps"), op.form
    if taps is None or form is None:
        return Need()
    down, right = [t.down for t in taps], [t.right for t in taps]
    a, b = op.settings["stride"] if op.settings.get("strided") else (1, 1)
    return Need(
        max(0, -min(down)),
        max(0, (form.height - 1) * a + max(down) - (source.height - 1)),
        max(0, -min(right)),
        max(0, (form.width - 1) * b + max(right) - (source.width - 1)),
    )
