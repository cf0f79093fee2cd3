"""Sparse matrix times pixels: one step is one weight (or a block of B×C weights) times T vectors of pixels in registers.

A convolution is the same as a matrix product: a weight's offset says which channel and which tap it reads. Groups of ``R``
blocks of ``B`` rows are worked on together; ``R·B·T`` vectors of sums stay in registers over a whole row of weights.
``B = 1`` is unstructured, ``B > 1`` with all offsets present is a dense layer, in between are blocks. The C columns of a block
have one offset: where the others lie from the first is the same for all blocks of a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

from ...ir import Function, fp, vector
from ...target import Target
from ..common import blank, declare
from ..pointwise.functions import activate

__all__ = ["FIELDS", "Shape", "module"]

FIELDS = (
    "x", "y", "residual",  # bytes from the workspace's start; residual -1: none
    "x_tile", "y_tile", "y_row", "r_tile", "r_row",  # bytes from panel to panel and row to row; r is the residual
    "lines", "parts", "tiles", "chunks", "blocks", "by_chunk", "count",  # tiles in a panel, tiles in all; rows there are
    "*starts", "*ends", "*bases", "*rows", "*values", "*deltas", "*inner", "*bias", "*mask", "*range",
)  # fmt: skip


_STEPS = 64  # by which weights are fetched ahead: a step takes ten cycles or more, and memory several hundred


@dataclass(frozen=True)
class Shape:
    """What is unrolled.

    Attributes:
        rows: R, blocks worked on together, each with its own offsets.
        height: B, neighbouring rows that share their offsets.
        vectors: T, vectors of pixels.
        columns: C, inputs of a block that share its offset.
    """

    rows: int
    height: int
    vectors: int
    columns: int = 1

    @property
    def sums(self) -> int:
        """Registers that hold sums."""
        return self.rows * self.height * self.vectors

    def fits(self, target: Target) -> bool:
        """Whether sums, shared inputs and a weight fit the registers."""
        return self.sums + (self.vectors if self.height > 1 else 0) + 1 <= target.registers


def module(target: Target, shape: Shape, function: str = "", parameter: float = 0.0, rows: str = "i32") -> str:
    """IR of ``@spmm(job, workspace, task)``; a task is a tile of T vectors of pixels and a chunk of rows.

    Args:
        target: the CPU.
        shape: what is unrolled.
        function: of each sum before the clamp; none by default.
        parameter: of the function.
        rows: kind of the numbers that say which rows a group has, ``"i16"`` or ``"i32"``.
    """
    finish = _finish(target, shape, function, parameter) if function else ""
    return "\n".join([declare(target), finish, _groups(target, shape, bool(function), rows), _task(target, shape)])


def _finish(target: Target, shape: Shape, function: str, parameter: float) -> str:
    """The function of one row's finished sums, in place: they are in the first cache, and registers are free again."""
    w, v = target.width, vector(target.width)
    f = Function("internal void @finish(ptr noalias %row, ptr noalias %mask, ptr noalias %range) noinline")
    low, high = (f.splat(w, f.load("float", "%range", i)) for i in range(2))
    masked = f.let("icmp ne ptr %mask, null")
    with f.loop(0, shape.vectors) as t:
        y = f.clamp(v, activate(f, w, f.load(v, "%row", t.index), function, parameter), low, high)

        def blanked(y: str = y, t: str = t.index) -> list[str]:
            return [blank(f, w, y, f.load(vector(w, "i32"), "%mask", t))]

        f.store(v, f.choose(masked, [v], blanked, lambda y=y: [y])[0], "%row", t.index)  # type: ignore[misc]
    f.run("ret void")
    return f.text()


_GROUP_ARGS = (
    "i64 %begin, i64 %end, i1 %first, i1 %last, ptr noalias %ends, ptr noalias %bases, ptr noalias %rows, ptr noalias %values, "
    "ptr noalias %deltas, ptr noalias %inner, ptr noalias %bias, ptr noalias %mask, ptr noalias %range, ptr %x, ptr %y, "
    "ptr %residual, i64 %y_row, i64 %r_row, i64 %count, ptr %later, i64 %lines"
)


def _task(target: Target, shape: Shape) -> str:
    f = Function("void @spmm(ptr %job, ptr %workspace, i64 %task)")
    a = f.fields("%job", FIELDS)
    by_chunk = f.let(f"icmp ne i64 {a['by_chunk']}, 0")
    inner = f.let(f"select i1 {by_chunk}, i64 {a['tiles']}, i64 {a['chunks']}")
    high, low = f.let(f"udiv i64 %task, {inner}"), f.let(f"urem i64 %task, {inner}")
    tile = f.let(f"select i1 {by_chunk}, i64 {low}, i64 {high}")
    chunk = f.let(f"select i1 {by_chunk}, i64 {high}, i64 {low}")
    size = 4 * target.width * shape.vectors
    panel, part = f.let(f"udiv i64 {tile}, {a['parts']}"), f.let(f"urem i64 {tile}, {a['parts']}")
    within = f.let(f"mul i64 {part}, {size}")
    at = {}
    for side, base in (("x", "x"), ("y", "y"), ("r", "residual")):
        offset = f.let(f"add i64 {f.let(f'mul i64 {panel}, ' + a[side + '_tile'])}, {within}")
        at[side] = f.at(f.at("%workspace", a[base]), offset)
    later = f.at(at["x"], a["x_tile"])  # the next panel, of which every group fetches some lines
    none = f.let(f"icmp slt i64 {a['residual']}, 0")
    residual = f.let(f"select i1 {none}, ptr null, ptr {at['r']}")
    masked = f.let(f"icmp ne ptr {a['mask']}, null")
    mask = f.at(a["mask"], f.let(f"mul i64 {tile}, {size}"))
    mask = f.let(f"select i1 {masked}, ptr {mask}, ptr null")
    first_block = f.let(f"mul i64 {chunk}, {a['blocks']}")
    last = f.let(f"sub i64 {a['blocks']}, 1")
    with f.loop(0, a["blocks"]) as block:
        start = f.at(a["starts"], f.let(f"add i64 {first_block}, {block.index}"), "i32")
        begin, end = f.load_index("i32", start), f.load_index("i32", start, 1)
        is_first, is_last = f.let(f"icmp eq i64 {block.index}, 0"), f.let(f"icmp eq i64 {block.index}, {last}")
        pointers = ", ".join(f"ptr {a[n]}" for n in ("ends", "bases", "rows", "values", "deltas", "inner", "bias"))
        f.run(
            f"call void @groups(i64 {begin}, i64 {end}, i1 {is_first}, i1 {is_last}, {pointers}, ptr {mask}, ptr {a['range']}, "
            f"ptr {at['x']}, ptr {at['y']}, ptr {residual}, i64 {a['y_row']}, i64 {a['r_row']}, i64 {a['count']}, "
            f"ptr {later}, i64 {a['lines']})"
        )
    f.run("ret void")
    return f.text()


def _groups(target: Target, shape: Shape, function: bool, rows: str) -> str:
    """All groups of a block of columns, for one tile."""
    f = Function(f"internal void @groups({_GROUP_ARGS}) noinline")
    body = _Group(f, target, shape, function, rows)
    body.inner = [f.load("i64", "%inner", c, align=8) for c in range(1, shape.columns)]
    with f.loop("%begin", "%end", carry=[("ptr", "%later")]) as group:
        group.next = [body.later(group.values[0])]
        body.emit(group.index)
    f.run("ret void")
    return f.text()


class _Group:
    """Emits one group: sums from bias and residual, or from what earlier columns left; all steps; store."""

    def __init__(self, f: Function, target: Target, shape: Shape, function: bool, rows: str) -> None:
        self.function, self.rows = function, rows
        self.fetch = target.triple.startswith("x86")  # on ARM the addresses push others out of registers
        self.f, self.shape, self.width, self.kind = f, shape, target.width, vector(target.width)
        self.inner: list[str] = []  # bytes from a block's first input to its others
        self.cells = [(r, b, t) for r in range(shape.rows) for b in range(shape.height) for t in range(shape.vectors)]

    def emit(self, group: str) -> None:
        f, shape = self.f, self.shape
        begin, end = f.load_index("i32", "%ends", group), f.load_index("i32", f.at("%ends", group, "i32"), 1)
        place = f.let(f"mul i64 {group}, {shape.rows}")
        bases, rows = f.at("%bases", place, "i32"), f.at("%rows", place, self.rows)
        pointers = [f.at("%x", f.load_index("i32", bases, r)) for r in range(shape.rows)]
        first = [f.load_index(self.rows, rows, r) for r in range(shape.rows)]
        self.row = {(r, b): f.let(f"add i64 {first[r]}, {b}") for r in range(shape.rows) for b in range(shape.height)}
        self.there = {k: f.let(f"icmp ult i64 {row}, %count") for k, row in self.row.items()}
        self.row = {k: f.let(f"select i1 {self.there[k]}, i64 {row}, i64 0") for k, row in self.row.items()}
        self.y = {k: f.at("%y", f.let(f"mul i64 {row}, %y_row")) for k, row in self.row.items()}
        self._ahead(f.at(rows, shape.rows, self.rows))
        kinds = [self.kind] * len(self.cells)
        sums = f.choose("%first", kinds, lambda: self._fresh(kinds), self._left)
        self._store(self._steps(begin, end, pointers, sums), kinds)

    def later(self, pointer: str) -> str:
        """Fetch lines that the next task reads; what a task reads first it reads in jumps, which no hardware guesses."""
        f = self.f
        with f.when("%first"), f.loop(0, "%lines") as line:
            at = f.at(pointer, f.let(f"mul i64 {line.index}, 64"))
            f.run(f"call void @llvm.prefetch.p0(ptr {at}, i32 0, i32 2, i32 1)")
        return f.at(pointer, f.let("mul i64 %lines, 64"))

    def _ahead(self, rows: str) -> None:
        """Fetch the lines that the next group writes: rows come in the order of their lengths, which no hardware guesses."""
        f = self.f
        with f.when("%first"):
            for r in range(self.shape.rows):
                next_row = f.load_index(self.rows, rows, r)
                there = f.let(f"icmp ult i64 {next_row}, %count")
                base = f.at("%y", f.let(f"mul i64 {f.let(f'select i1 {there}, i64 {next_row}, i64 0')}, %y_row"))
                for b in range(self.shape.height):
                    line = base if b == 0 else f.at(base, f.let(f"mul i64 %y_row, {b}"))
                    for at in range(0, 4 * self.width * self.shape.vectors, 64):
                        f.run(f"call void @llvm.prefetch.p0(ptr {f.at(line, at)}, i32 1, i32 3, i32 1)")

    def _fresh(self, kinds: list[str]) -> list[str]:
        f = self.f
        bias = {k: f.splat(self.width, f.load("float", "%bias", row)) for k, row in self.row.items()}
        plain = [bias[r, b] for r, b, _ in self.cells]
        some = f.let("icmp ne ptr %residual, null")

        def added() -> list[str]:
            base = {k: f.at("%residual", f.let(f"mul i64 {row}, %r_row")) for k, row in self.row.items()}
            old = [f.load(self.kind, base[r, b], t) for r, b, t in self.cells]
            return [f.let(f"fadd {self.kind} {x}, {y}") for x, y in zip(plain, old, strict=True)]

        return f.choose(some, kinds, added, lambda: plain)

    def _left(self) -> list[str]:
        return [self.f.load(self.kind, self.y[r, b], t) for r, b, t in self.cells]

    def _steps(self, begin: str, end: str, pointers: list[str], sums: list[str]) -> list[str]:
        f, shape = self.f, self.shape
        carry = [*[("ptr", p) for p in pointers], *[(self.kind, s) for s in sums]]
        with f.loop(begin, end, carry=carry) as step:
            at, acc = step.values[: shape.rows], step.values[shape.rows :]
            place = f.let(f"mul i64 {step.index}, {shape.rows}")
            values = f.at("%values", f.let(f"mul i64 {place}, {shape.height * shape.columns}"), "float")
            deltas = f.at("%deltas", place, "i16")
            if self.fetch:
                for stream, size in ((values, 4 * shape.rows * shape.height * shape.columns), (deltas, 2 * shape.rows)):
                    f.run(f"call void @llvm.prefetch.p0(ptr {f.at(stream, _STEPS * size)}, i32 0, i32 3, i32 1)")
            for r, c in product(range(shape.rows), range(shape.columns)):
                pixels = f.at(at[r], self.inner[c - 1]) if c else at[r]
                x = [f.load(self.kind, pixels, t) for t in range(shape.vectors)]
                for b in range(shape.height):
                    w = f.splat(self.width, f.load("float", values, (r * shape.columns + c) * shape.height + b))
                    for t in range(shape.vectors):
                        k = (r * shape.height + b) * shape.vectors + t
                        acc[k] = f.fma(self.width, w, x[t], acc[k])
            moved = [f.at(at[r], f.load_index("i16", deltas, r), "float") for r in range(shape.rows)]
            step.next = [*moved, *acc]
        return step.results[shape.rows :]

    def _store(self, sums: list[str], kinds: list[str]) -> None:
        f = self.f
        masked = f.let("icmp ne ptr %mask, null")

        def clamped() -> list[str]:
            low, high = (f.load("float", "%range", i) for i in range(2))
            floor = f.splat(self.width, low)
            above = [f.at_least(self.kind, s, floor) for s in sums]
            bounded = f.let(f"fcmp olt float {high}, {fp(math.inf)}")
            inside = f.choose(bounded, kinds, lambda: capped(above, high), lambda: above)
            return f.choose(masked, kinds, lambda: blanked(inside), lambda: inside)

        def capped(above: list[str], high: str) -> list[str]:
            roof = f.splat(self.width, high)
            return [f.at_most(self.kind, s, roof) for s in above]

        def blanked(inside: list[str]) -> list[str]:
            masks = [f.load(vector(self.width, "i32"), "%mask", t) for t in range(self.shape.vectors)]
            return [blank(f, self.width, s, masks[t]) for s, (_, _, t) in zip(inside, self.cells, strict=True)]

        if not self.function:
            sums = f.choose("%last", kinds, clamped, lambda: sums)
        for k, there in self.there.items():
            with f.when(there):
                for s, (r, b, t) in zip(sums, self.cells, strict=True):
                    if (r, b) == k:
                        f.store(self.kind, s, self.y[k], t)
                if self.function:
                    with f.when("%last"):
                        f.run(f"call void @finish(ptr {self.y[k]}, ptr %mask, ptr %range)")
