"""What kernels share: where a job's values lie, and which tile and channels a task is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..ir import Function, fp, vector
from ..target import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["HEADER", "Case", "blank", "constant", "declare", "every", "outside", "part_of", "share", "tile_of"]

Case: TypeAlias = "Callable[[], tuple[nn.Module, Tensor]]"
"""What makes a layer and its input, for the benches beside the kernels."""

HEADER = 64  # 64-bit words at a workspace's start: the example at hand, then the addresses of values outside


def outside(f: Function, fields: dict[str, str], side: str) -> str:
    """The start of a value: in the workspace, or of one example in a tensor outside when its ``slot`` is not negative."""
    slot = fields[side + "_slot"]
    inside = f.let(f"icmp slt i64 {slot}, 0")
    tensor = f.load("ptr", "%workspace", f.let(f"select i1 {inside}, i64 0, i64 {slot}"), step="i64", align=8)
    base = f.let(f"select i1 {inside}, ptr %workspace, ptr {tensor}")
    example = f.load("i64", "%workspace", align=8)
    example = f.let(f"mul i64 {example}, {fields[side + '_example']}")
    return f.at(f.at(base, example), fields[side])


def share(f: Function, fields: dict[str, str], task: str = "%task") -> tuple[str, str]:
    """First channel of a task and the one after its last: ``per`` of ``channels``."""
    first = f.let(f"mul i64 {task}, {fields['per']}")
    end = f.let(f"add i64 {first}, {fields['per']}")
    over = f.let(f"icmp sgt i64 {end}, {fields['channels']}")
    return first, f.let(f"select i1 {over}, i64 {fields['channels']}, i64 {end}")


def tile_of(f: Function, fields: dict[str, str], side: str, tile: str) -> str:
    """The address of channel 0 in a tile."""
    return f.at(f.at("%workspace", fields[side]), f.let(f"mul i64 {tile}, {fields[side + '_tile']}"))


def blank(f: Function, width: int, x: str, mask: str) -> str:
    """``x`` where the mask's bits are set, 0 elsewhere."""
    kind, whole = vector(width), vector(width, "i32")
    bits = f.let(f"and {whole} {f.let(f'bitcast {kind} {x} to {whole}')}, {mask}")
    return f.let(f"bitcast {whole} {bits} to {kind}")


def declare(target: Target) -> str:
    """The intrinsics that kernels call."""
    w = target.width
    v, flags = vector(w), vector(w, "i1")
    return "\n".join(
        [
            f"declare {v} @llvm.fma.v{w}f32({v}, {v}, {v})",
            "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)",
            f"declare {v} @llvm.masked.load.v{w}f32.p0(ptr, i32, {flags}, {v})",
            f"declare void @llvm.masked.store.v{w}f32.p0({v}, ptr, i32, {flags})",
            f"declare float @llvm.vector.reduce.fadd.v{w}f32(float, {v})",
            f"declare {v} @llvm.sqrt.v{w}f32({v})",
            f"declare {v} @llvm.rint.v{w}f32({v})",
        ]
    )


def constant(width: int, value: float, kind: str = "float") -> str:
    """A vector constant."""
    one = fp(value) if kind == "float" else str(int(value))
    return "<" + ", ".join([f"{kind} {one}"] * width) + ">"


def every(f: Function, w: int, stride: int, parts: list[str], first: int = 0) -> str:
    """Every lane of one vector, or every second one of two, from the first or the second on."""
    if stride == 1:
        return parts[0]
    lanes = ", ".join(f"i32 {i * 2 + first}" for i in range(w))
    return f.let(f"shufflevector {vector(w)} {parts[0]}, {vector(w)} {parts[1]}, {vector(w, 'i32')} <{lanes}>")


def part_of(f: Function, fields: dict[str, str], target: Target, vectors: int, task: str) -> tuple[dict[str, str], str]:
    """A task as a tile of ``vectors``, ``parts`` of them in each tile of the space.

    Returns:
        For every value of the job the address of its channel 0 there; and that tile's place in the mask, in bytes.
    """
    size = 4 * target.width * vectors
    panel, part = f.let(f"udiv i64 {task}, {fields['parts']}"), f.let(f"urem i64 {task}, {fields['parts']}")
    within = f.let(f"mul i64 {part}, {size}")
    sides = [n.removesuffix("_tile") for n in fields if n.endswith("_tile")]
    return {s: f.at(tile_of(f, fields, s, panel), within) for s in sides}, f.let(f"mul i64 {task}, {size}")
