"""LLVM IR as text: values, branches, loops. Nothing here needs llvmlite; the text is what the object cache hashes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Block", "Function", "Loop", "fp", "vector"]

Block: TypeAlias = Callable[[], list[str]]


def vector(width: int, kind: str = "float") -> str:
    """The type of ``width`` lanes.

    Example:
        >>> vector(8)
        '<8 x float>'
    """
    return f"<{width} x {kind}>"


def fp(value: float) -> str:
    """A float32 constant as LLVM writes it: the bits of the double of the same value.

    Example:
        >>> fp(1.0)
        '0x3FF0000000000000'
    """
    single = struct.unpack("f", struct.pack("f", value))[0]
    return f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}"


@dataclass
class Loop:
    """A counted loop under construction.

    Attributes:
        index: the counter.
        values: what is carried from turn to turn, as seen inside.
        next: what the next turn gets; set before the block ends.
        results: what is carried, after the loop.
    """

    index: str
    values: list[str]
    next: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)


class Function:
    """One function, line by line.

    Args:
        head: everything between ``define`` and the brace, e.g. ``"void @f(ptr %x, i64 %n)"``.

    Example:
        >>> f = Function("i64 @twice(i64 %n)")
        >>> f.run(f"ret i64 {f.let('add i64 %n, %n')}")
        >>> print(f.text())
        define i64 @twice(i64 %n) {
        entry:
          %v1 = add i64 %n, %n
          ret i64 %v1
        }
    """

    def __init__(self, head: str) -> None:
        self._head = head
        self._lines: list[str] = []
        self._count = 0
        self.block = "entry"

    def text(self) -> str:
        """The whole function."""
        return "\n".join([f"define {self._head} {{", "entry:", *self._lines, "}"])

    def let(self, expression: str) -> str:
        """A new value."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {expression}")
        return name

    def run(self, statement: str) -> None:
        """A statement without a value."""
        self._lines.append(f"  {statement}")

    def label(self, stem: str) -> str:
        """A fresh name for a block."""
        self._count += 1
        return f"{stem}{self._count}"

    def start(self, label: str) -> None:
        """Begin a block; the one before must have ended in a branch."""
        self._lines.append(f"{label}:")
        self.block = label

    # ------------------------------------------------------------ addresses

    def at(self, pointer: str, offset: str | int, kind: str = "i8") -> str:
        """The address ``offset`` elements of ``kind`` further on."""
        return self.let(f"getelementptr {kind}, ptr {pointer}, i64 {offset}")

    def load(self, kind: str, pointer: str, offset: str | int = 0, *, step: str | None = None, align: int = 4) -> str:
        """The value ``offset`` steps (of its own kind by default) after a pointer."""
        address = pointer if offset == 0 else self.at(pointer, offset, step or kind)
        return self.let(f"load {kind}, ptr {address}, align {align}")

    def store(
        self, kind: str, value: str, pointer: str, offset: str | int = 0, *, step: str | None = None, align: int = 4
    ) -> None:
        """Write a value ``offset`` steps after a pointer."""
        address = pointer if offset == 0 else self.at(pointer, offset, step or kind)
        self.run(f"store {kind} {value}, ptr {address}, align {align}")

    def load_index(self, kind: str, pointer: str, offset: str | int = 0) -> str:
        """A stored whole number as ``i64``: ``i32`` with its sign, ``i16`` without."""
        value = self.load(kind, pointer, offset, align=int(kind[1:]) // 8)
        return self.let(f"{'zext' if kind == 'i16' else 'sext'} {kind} {value} to i64")

    def fields(self, job: str, names: Sequence[str]) -> dict[str, str]:
        """The 64-bit fields of a job, in order; a name with ``*`` in front is a pointer."""
        return {
            n.lstrip("*"): self.load("ptr" if n[0] == "*" else "i64", job, i, step="i64", align=8) for i, n in enumerate(names)
        }

    # ------------------------------------------------------------ vectors

    def splat(self, width: int, value: str) -> str:
        """A float in every lane."""
        one = self.let(f"insertelement {vector(width)} poison, float {value}, i32 0")
        return self.let(f"shufflevector {vector(width)} {one}, {vector(width)} poison, {vector(width, 'i32')} zeroinitializer")

    def fma(self, width: int, a: str, b: str, c: str) -> str:
        """``a · b + c`` in one rounding."""
        v = vector(width)
        return self.let(f"call {v} @llvm.fma.v{width}f32({v} {a}, {v} {b}, {v} {c})")

    def at_least(self, kind: str, x: str, low: str) -> str:
        """``max(x, low)``; what is not a number stays so."""
        below = self.let(f"fcmp ogt {kind} {low}, {x}")
        return self.let(f"select {kind.replace('float', 'i1')} {below}, {kind} {low}, {kind} {x}")

    def at_most(self, kind: str, x: str, high: str) -> str:
        """``min(x, high)``; what is not a number stays so."""
        above = self.let(f"fcmp olt {kind} {high}, {x}")
        return self.let(f"select {kind.replace('float', 'i1')} {above}, {kind} {high}, {kind} {x}")

    def clamp(self, kind: str, x: str, low: str, high: str) -> str:
        """``min(max(x, low), high)``; what is not a number stays so."""
        return self.at_most(kind, self.at_least(kind, x, low), high)

    # ------------------------------------------------------------ control

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """A block that runs when an ``i1`` is true; values do not leave it."""
        yes, end = self.label("yes"), self.label("end")
        self.run(f"br i1 {condition}, label %{yes}, label %{end}")
        self.start(yes)
        yield
        self.run(f"br label %{end}")
        self.start(end)

    def choose(self, condition: str, kinds: Sequence[str], yes: Block, no: Block) -> list[str]:
        """Values of one of two blocks, each a function that writes its block and returns its values."""
        labels = self.label("yes"), self.label("no"), self.label("end")
        self.run(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
        sides = []
        for label, side in zip(labels, (yes, no), strict=False):
            self.start(label)
            values = side()
            sides.append((values, self.block))
            self.run(f"br label %{labels[2]}")
        self.start(labels[2])
        (a, of_a), (b, of_b) = sides
        return [self.let(f"phi {k} [ {x}, %{of_a} ], [ {y}, %{of_b} ]") for k, x, y in zip(kinds, a, b, strict=True)]

    @contextmanager
    def loop(
        self, begin: str | int, end: str | int, step: str | int = 1, carry: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Loop]:
        """Count from ``begin`` while below ``end``; the test is at the bottom, after a guard.

        Args:
            begin: first value of the counter.
            end: the counter stays below it.
            step: what is added every turn.
            carry: type and first value of what goes from turn to turn.
        """
        body, done, before = self.label("loop"), self.label("done"), self.block
        some = self.let(f"icmp slt i64 {begin}, {end}")
        self.run(f"br i1 {some}, label %{body}, label %{done}")
        self.start(body)
        hole = len(self._lines)
        names = [self.let("phi") for _ in range(len(carry) + 1)]
        loop = Loop(names[0], names[1:])
        yield loop
        index = self.let(f"add i64 {loop.index}, {step}")
        more = self.let(f"icmp slt i64 {index}, {end}")
        last = self.block
        self.run(f"br i1 {more}, label %{body}, label %{done}")
        turns = [("i64", str(begin), index), *[(k, v, n) for (k, v), n in zip(carry, loop.next, strict=True)]]
        for i, (name, (kind, first, again)) in enumerate(zip(names, turns, strict=True)):
            self._lines[hole + i] = f"  {name} = phi {kind} [ {first}, %{before} ], [ {again}, %{last} ]"
        self.start(done)
        loop.results = [
            self.let(f"phi {k} [ {v}, %{before} ], [ {n}, %{last} ]") for (k, v), n in zip(carry, loop.next, strict=True)
        ]
