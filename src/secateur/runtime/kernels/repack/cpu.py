"""Images copied from one layout to another: into planes and out, every s-th pixel into planes of its own, into a frame."""

from __future__ import annotations

from ...ir import Function, vector
from ...target import Target
from ..common import declare, every, outside, share

__all__ = ["FIELDS", "module"]

FIELDS = (
    "x", "x_slot", "x_example", "y", "y_slot", "y_example",
    "x_plane", "x_row", "x_step", "y_plane", "y_row", "y_step",  # bytes from channel to channel, row to row, pixel to pixel
    "second",  # bytes from every first pixel's plane to every second's
    "rows", "width", "whole", "filled", "fill", "channels", "per",  # vectors of a plane to fill first, and with what
    "frame", "frame_rows", "frame_whole",  # bytes from its first pixel to the copy's; its rows, and whole vectors of a row
    "*masks",  # of the last vector of a row: for each of the s vectors read, for the two written, for the frame's
)  # fmt: skip


def module(target: Target, stride: int, both: bool = False, framed: bool = False) -> str:
    """IR of ``@repack(job, workspace, task)``; a task is some channels.

    Args:
        target: the CPU.
        stride: 1 or 2 for rows whose pixels lie side by side; 0 for one pixel at a time at any distance.
        both: also every second pixel, into a plane of its own.
        framed: the copy lies in a larger image, the rest of which holds the filling.
    """
    w = target.width
    v = vector(w)
    f = Function("void @repack(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    x, y = outside(f, a, "x"), outside(f, a, "y")
    fill = f.splat(w, f.let(f"bitcast i32 {f.let('trunc i64 ' + a['fill'] + ' to i32')} to float"))
    with f.loop(*share(f, a)) as channel:
        source = f.at(x, f.let(f"mul i64 {channel.index}, {a['x_plane']}"))
        plane = f.at(y, f.let(f"mul i64 {channel.index}, {a['y_plane']}"))
        with f.loop(0, a["filled"]) as i:
            f.store(v, fill, plane, i.index)
            if both:
                f.store(v, fill, f.at(plane, a["second"]), i.index)
        if framed:
            _frame(f, a, w, plane, fill)
        with f.loop(0, a["rows"]) as row:
            from_row = f.at(source, f.let(f"mul i64 {row.index}, {a['x_row']}"))
            to_row = f.at(plane, f.let(f"mul i64 {row.index}, {a['y_row']}"))
            if stride:
                _vectors(f, a, w, stride, from_row, to_row, both)
            else:
                with f.loop(0, a["width"]) as pixel:
                    one = f.load("float", f.at(from_row, f.let(f"mul i64 {pixel.index}, {a['x_step']}")))
                    f.store("float", one, f.at(to_row, f.let(f"mul i64 {pixel.index}, {a['y_step']}")))
    f.run("ret void")
    return "\n".join([declare(target), f.text()])


def _frame(f: Function, a: dict[str, str], w: int, plane: str, fill: str) -> None:
    """The filling in every pixel of a larger image, and in nothing beside it."""
    v, whole = vector(w), a["frame_whole"]
    first = f.at(plane, f.let(f"sub i64 0, {a['frame']}"))
    mask = f.let(f"icmp ne {vector(w, 'i32')} {f.load(vector(w, 'i32'), a['masks'], 3)}, zeroinitializer")
    with f.loop(0, a["frame_rows"]) as row:
        to = f.at(first, f.let(f"mul i64 {row.index}, {a['y_row']}"))
        with f.loop(0, whole) as i:
            f.store(v, fill, to, i.index)
        at = f.at(to, whole, v)
        f.run(f"call void @llvm.masked.store.v{w}f32.p0({v} {fill}, ptr {at}, i32 4, {vector(w, 'i1')} {mask})")


def _vectors(f: Function, a: dict[str, str], w: int, stride: int, source: str, to: str, both: bool) -> None:
    """One row: whole vectors, then what is left, without touching anything beyond it."""
    v, flags = vector(w), vector(w, "i1")
    whole = a["whole"]
    rest = f.let(f"sub i64 {a['width']}, {f.let(f'mul i64 {whole}, {w}')}")
    with f.loop(0, whole) as i:
        at = f.at(source, f.let(f"mul i64 {i.index}, {stride * 4 * w}"))
        parts = [f.load(v, at, k) for k in range(stride)]
        f.store(v, every(f, w, stride, parts), to, i.index)
        if both:
            f.store(v, every(f, w, stride, parts, 1), f.at(to, a["second"]), i.index)
    with f.when(f.let(f"icmp ne i64 {rest}, 0")):
        masks = [f.load(vector(w, "i32"), a["masks"], k) for k in range(stride + 2)]
        masks = [f.let(f"icmp ne {vector(w, 'i32')} {m}, zeroinitializer") for m in masks]
        at = f.at(source, f.let(f"mul i64 {whole}, {stride * 4 * w}"))
        call = f"call {v} @llvm.masked.load.v{w}f32.p0(ptr {{}}, i32 4, {flags} {{}}, {v} zeroinitializer)"
        parts = [f.let(call.format(f.at(at, k, v), masks[k])) for k in range(stride)]
        store = f"call void @llvm.masked.store.v{w}f32.p0({v} {{}}, ptr {{}}, i32 4, {flags} {{}})"
        f.run(store.format(every(f, w, stride, parts), f.at(to, whole, v), masks[-2]))
        if both:
            f.run(store.format(every(f, w, stride, parts, 1), f.at(f.at(to, a["second"]), whole, v), masks[-1]))
