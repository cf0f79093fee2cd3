"""A segment laid out for one batch size: which space every value is in, where it lies, and the steps that compute it."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .expand import Tap, expand, need_of
from .graph import Form, Op
from .kernels.common import HEADER
from .layout import Need, Place, Space, make_space
from .memory import Memory
from .segments import Segment
from .table import table
from .target import Target

__all__ = ["Layout", "Plan", "Step", "lay_out"]

_PLANES = {"phases", "pad", "export", "max_pool", "avg_pool", "concat"}  # take their first input in planes
_TO_PLANES = {"import", "phases", "pad", "concat"}  # give planes
_EACH = 8  # tiles for every thread, from which none waits long for another
_LARGE = 1 << 20  # bytes of a value that has left a core's own cache when all of it is there


@dataclass
class Step:
    """One call of a kernel for every task.

    Attributes:
        op: what it does.
        kernel: the kernel's name, with what was chosen.
        address: of the compiled function.
        job: its 64-bit fields.
        tasks: how many there are.
        keep: arrays that the job points to.
        why: why this kernel.
        sparsity: fraction of weights that are zero; None without weights.
        nbytes: of the packed weights.
        by_tile: the tasks of a tile follow each other.
    """

    op: Op
    kernel: str
    address: int
    job: NDArray[np.int64]
    tasks: int
    keep: list[Any] = field(default_factory=list)
    why: str = ""
    sparsity: float | None = None
    nbytes: int = 0
    by_tile: bool = False


class Layout:
    """Spaces and places of a segment's values.

    Attributes:
        ops: the operations, expanded.
        cpu: what kernels run on.
        threads: that will share the work.
        target: the same, with the width that kernels of pixels are written for.
        places: of every value inside.
        slots: word of the workspace's header for every value outside.
        bytes: of a workspace.
        fills: ranges of floats that hold something other than zero from the start, with it.
        chains: the operations, in lists of those that may go through the tiles together.
    """

    def __init__(self, segment: Segment, forms: dict[str, Form], batch: int, target: Target, threads: int = 1) -> None:
        self.segment, self.cpu, self.batch, self.threads = segment, target, batch, threads
        # one example of a matrix is one vector: its channels lie side by side and kernels take them one by one
        self.target = dc.replace(target, width=1) if segment.matrix and batch == 1 else target
        self.ops = expand(segment, forms, batch)
        self.slots = {n: 1 + i for i, n in enumerate(dict.fromkeys([*segment.inputs, *(f"{n}/out" for n in segment.outputs)]))}
        self._masks: dict[tuple[Space, int, int], NDArray[np.int32]] = {}
        self._forms = {op.name: op.form for op in self.ops if op.form}
        self.spaces = self._spaces()
        self.chains = self._chains()
        self.places: dict[str, Place] = {}
        memory = Memory(HEADER * 8)
        self._allocate(memory)
        self.bytes, self.fills = memory.finish()
        self.places = {n: p(memory) for n, p in self._late.items()}

    def mask(self, name: str) -> NDArray[np.int32]:
        """-1 where a value has pixels."""
        form, space = self._forms[name], self.spaces[name]
        key = (space, form.height, form.width)
        if key not in self._masks:
            self._masks[key] = aligned(space.mask(form.height, form.width))
        return self._masks[key]

    def chained(self, op: Op) -> bool:
        """Whether a layer's first input is made in its own chain."""
        return any({op.name, op.inputs[0]} <= {o.name for o in chain} for chain in self.chains)

    def outside(self, name: str) -> Form:
        """The sizes of one example outside, by the name of its slot."""
        return self._forms[name]

    def _spaces(self) -> dict[str, Space]:
        groups = {n: {n} for n in self._forms}
        needs = {n: Need() for n in self._forms}
        reach = 0
        for op in self.ops:
            if op.kind in ("phases", "pad", "export", "mean", "import"):
                continue
            for name in () if op.settings.get("strided") else op.inputs[:3] if op.kind == "attention" else op.inputs:
                joined = groups[name] | groups[op.name]
                for n in joined:
                    groups[n] = joined
            needs[op.inputs[0]] |= need_of(op, self._forms[op.inputs[0]])
            reach = max([reach, *(abs(t.down) for t in op.settings.get("taps", ()))])
        made: dict[int, Space] = {}
        for members in groups.values():
            if id(members) not in made:
                made[id(members)] = make_space(
                    [(self._forms[n], needs[n]) for n in sorted(members)], self.target, reach, self.threads
                )
        return {n: made[id(members)] for n, members in groups.items()}

    def _panels(self) -> dict[str, bool]:
        """Which values nobody needs in planes."""
        panels = {op.name: not (op.kind in _TO_PLANES or op.settings.get("strided")) for op in self.ops}
        for op in self.ops:
            windowed = any((t.down, t.right) != (0, 0) for t in op.settings.get("taps", ()))
            if op.inputs and (op.kind in _PLANES or windowed):
                panels[op.inputs[0]] = False
            if op.kind == "concat":
                panels.update(dict.fromkeys(op.inputs, False))
        return panels

    def _chains(self) -> list[list[Op]]:
        """Layers that may go through the tiles together: what one gives, the next reads while it is still in cache."""
        found: list[list[Op]] = []
        for op in self.ops:
            if found and self._joins(op, found[-1]):
                found[-1].append(op)
            else:
                found.append([op])
        return found

    def _joins(self, op: Op, chain: list[Op]) -> bool:
        """Whether a layer reads something large of the chain's, and of each tile only the same tile."""
        made = {o.name: 4 * o.form.channels * self.spaces[o.name].plane for o in chain if o.form}
        inside = [made[n] for n in op.inputs if n in made]
        return (
            op.kind == chain[-1].kind == "conv"
            and self.spaces[op.name] == self.spaces[chain[-1].name]
            and max(inside, default=0) >= _LARGE
            and (self.threads == 1 or self.spaces[op.name].tiles >= _EACH * self.threads)
            and (op.inputs[0] not in made or op.settings["taps"] == [Tap(0, 0, 0)])
        )

    def _allocate(self, memory: Memory) -> None:
        """A buffer for every value, given back after the chain that uses it last; a residual's becomes its sum's."""
        panels = self._panels()
        self._late: dict[str, Callable[[Memory], Place]] = {}
        buffers: dict[str, int] = {}
        last = {n: c for c, chain in enumerate(self.chains) for op in chain for n in (op.name, *op.inputs)}
        for c, chain in enumerate(self.chains):
            for k, op in enumerate(chain):
                if op.form is None or op.kind == "export":
                    continue
                space, form = self.spaces[op.name], op.form
                old = op.inputs[1] if op.kind == "conv" and len(op.inputs) == 2 else None
                others = [n for o in chain[:k] + chain[k + 1 :] for n in o.inputs] + [op.inputs[0]] if old else []
                if old and last[old] == c and old not in others and panels[old] == panels[op.name]:
                    buffers[op.name] = buffers.pop(old)
                else:
                    buffers[op.name] = memory.take(space, panels[op.name], form.channels, op.settings.get("fill", 0.0))
                self._late[op.name] = _placed(buffers[op.name], space, form, panels[op.name])
            for name in [n for n in buffers if last[n] == c]:
                memory.give(buffers.pop(name))


def _placed(buffer: int, space: Space, form: Form, panels: bool) -> Callable[[Memory], Place]:
    return lambda memory: Place(space, form, panels, memory.start(buffer))


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins at a cache line."""
    raw = np.zeros(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


@dataclass
class Plan:
    """A segment for one batch size, compiled.

    Attributes:
        layout: of its values.
        steps: in order.
        table: address, job and tasks of every step or chain of steps, as the run loop reads them.
        keep: arrays that the table points to.
        address: of the table.
        run: the loop over the table, once it is known: looking it up takes as long as a small layer.
    """

    layout: Layout
    steps: list[Step]
    table: NDArray[np.int64]
    keep: list[Any] = field(default_factory=list)
    address: int = field(init=False)
    run: Any = None

    def __post_init__(self) -> None:
        self.address = self.table.ctypes.data  # asked for once: numpy takes its time


def lay_out(
    segment: Segment,
    forms: dict[str, Form],
    batch: int,
    target: Target,
    build: Callable[[Layout, Op], list[Step]],
    threads: int = 1,
) -> Plan:
    """Lay a segment out and build its steps."""
    layout = Layout(segment, forms, batch, target, threads)
    chains = [[s for op in chain for s in build(layout, op)] for chain in layout.chains]
    rows, keep = table(layout, chains)
    return Plan(layout, [s for chain in chains for s in chain], rows, keep)
