"""The compiled model: a callable that lays a batch size out once and runs it many times."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..core.errors import DependencyError, ModelError
from .choose import build
from .graph import Graph, Op, Ref, function_of
from .kept import Picks, plain
from .plan import Plan, lay_out
from .pool import execute
from .reference import run_segment
from .report import Layer, Report
from .segments import Segment, segments
from .target import Target, host
from .tune import timed, tune
from .workspace import Workspace

__all__ = ["Compiled"]


class Compiled:
    """A model as a program of kernels. Made by ``compile``; called as the model is, in evaluation mode, without gradients.

    Args:
        graph: what to compute.
        threads: that share one call.
        vectors: kind of vector instructions; by default the widest there are.
        picks: choices made for layers, with their reasons, by name, pixels of a matrix and threads.
    """

    def __init__(self, graph: Graph, threads: int, vectors: str | None, picks: Picks) -> None:
        self.graph, self._vectors, self.picks = graph, vectors, picks
        self.threads = threads
        self.report: Report | None = None
        self._prepare()

    def _prepare(self) -> None:
        self.target, self._without = _target(self._vectors)
        self._parts = [p if isinstance(p, Segment) else _TorchOp(p) for p in segments(self.graph)]
        self._plans: dict[tuple[int, int, int], Plan] = {}
        self._free: dict[tuple[int, int, int], list[Workspace]] = {}
        self._in_spec = pytree.treespec_loads(self.graph.in_spec)
        self._out_spec = pytree.treespec_loads(self.graph.out_spec)
        several: tuple[Any, ...] = (None,) * len(self.graph.inputs)
        self._plain = self._in_spec == pytree.tree_structure((several, {}))  # tensors one by one: nothing to take apart
        self._one = self.graph.outputs[0] if self._out_spec.is_leaf() else None

    @property
    def threads(self) -> int:
        """Threads that share one call."""
        return self._threads

    @threads.setter
    def threads(self, n: int) -> None:
        if not isinstance(n, int) or n < 1:
            raise ModelError(f"threads must be a whole number from 1 up; got {n!r}")
        self._threads = n

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gives in evaluation mode, for any batch size where the model leaves it open.

        Raises:
            ModelError: an argument has another shape than the model was compiled for, or the batch is empty.
        """
        values, batch = self._inputs(args, kwargs)
        with torch.inference_mode():
            for i, part in enumerate(self._parts):
                if isinstance(part, Segment) and (part.light or self.target is None):
                    run_segment(part, values)
                elif isinstance(part, Segment):
                    self._run(i, part, values, batch)
                else:
                    part(values)
        if self._one:
            return values[self._one]
        found = [values[n] if n else None for n in self.graph.outputs]
        return pytree.tree_unflatten(found, self._out_spec)

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], int]:
        leaves: Any = args
        if kwargs or not self._plain:
            leaves = pytree.tree_leaves((args, kwargs))
        if len(leaves) != len(self.graph.inputs):
            raise ModelError(f"the model was compiled for {len(self.graph.inputs)} arguments; got {len(leaves)}")
        values: dict[str, Any] = dict(self.graph.constants)
        batch = 1
        for name, shape, x in zip(self.graph.inputs, self.graph.shapes, leaves, strict=True):
            if not isinstance(x, Tensor) or not _fits(x.shape, shape):
                given = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
                wanted = tuple("any" if s < 0 else s for s in shape)
                raise ModelError(f"{name} must be a tensor of shape {wanted}, as compiled; got {given}")
            values[name] = x
            if shape and (shape[0] == -1 or x is leaves[0]):
                batch = x.shape[0]
        return values, batch

    def plan(self, i: int, part: Segment, batch: int, threads: int) -> Plan:
        """A segment laid out for a batch; made once."""
        assert self.target is not None
        key = (i, batch if part.matrix else 1, threads)
        if key not in self._plans:
            build_one = lambda layout, op: build(layout, op, self.picks.get((op.name, key[1], threads)), threads)  # noqa: E731
            self._free.setdefault(key, [])
            self._plans[key] = lay_out(part, self.graph.forms, key[1], self.target, build_one, threads)
        return self._plans[key]

    def segments(self) -> list[tuple[int, Segment]]:
        """The parts that kernels do, with their numbers."""
        return [(i, p) for i, p in enumerate(self._parts) if isinstance(p, Segment) and not p.light]

    def tune(self, seconds: float, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Choose every layer's kernel by measurement, for the batch size of these inputs and the present number of threads.

        Args:
            seconds: budget.
            args: of a call.
            kwargs: of a call.
        """
        if self.target is None:
            return
        _, batch = self._inputs(args, kwargs)
        end = time.perf_counter() + seconds
        for i, part in self.segments():
            plan = self.plan(i, part, batch, self._threads)
            key = (batch if part.matrix else 1, self._threads)
            given = {n: p for (n, *of), p in self.picks.items() if tuple(of) == key}
            found = tune(plan, self._threads, end - time.perf_counter(), given)
            self.picks.update({(n, *key): p for n, p in found.items()})
        self._plans.clear()
        self._free.clear()

    def _run(self, i: int, part: Segment, values: dict[str, Any], batch: int) -> None:
        if batch == 0:
            raise ModelError("the batch is empty; give at least one example")
        threads = self._threads
        plan = self.plan(i, part, batch, threads)
        free = self._free[i, batch if part.matrix else 1, threads]
        try:
            workspace = free.pop()
        except IndexError:
            workspace = Workspace(plan.layout, threads)
        tensors = [_plain(values[n]) for n in part.inputs]
        for name in part.outputs:
            values[name] = torch.empty(self._shape(name, batch))
            tensors.append(values[name])
        workspace.outside([t.data_ptr() for t in tensors])
        execute(plan, workspace.address, workspace.stride, 1 if part.matrix else batch, threads)
        free.append(workspace)

    def measure(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: float = 0.0) -> Report:
        """Run step by step and note how long each takes; ``report`` and ``print`` show it.

        Args:
            args: of a call.
            kwargs: of a call.
            error: difference to eager, as far as known.
        """
        _, batch = self._inputs(args, kwargs)
        layers, nbytes, nonzeros = [], 0, 0
        for i, part in enumerate(self._parts):
            if isinstance(part, _TorchOp):
                layers.append(Layer(part.op.label or part.op.name, "torch", "as torch has it", None, None, part.op.why))
            elif part.light or self.target is None:
                why = self._without or "too little to copy values into planes for"
                layers += [Layer(op.label, "torch", "as torch has it", None, None, why) for op in part.ops]
            else:
                plan = self.plan(i, part, batch, self._threads)
                layers += timed(plan)
                nbytes += sum(s.nbytes for s in plan.steps)
                nonzeros += sum(int(s.op.tensors["weight"].count_nonzero()) for s in plan.steps if s.sparsity is not None)
        vectors = self.target.name if self.target else None
        self.report = Report(tuple(layers), self._threads, vectors, error, nbytes, nonzeros)
        return self.report

    def to_dict(self) -> dict[str, Any]:
        """The choices that were made, for ``compress(model, path, metadata={"kernels": fast})``; no weights.

        Example:
            >>> from secateur import compile
            >>> list(compile(torch.nn.Linear(4, 2), torch.randn(1, 4), seconds=0).to_dict())
            ['version', 'vectors', 'choices']
        """
        return plain(self.picks, self.target.name if self.target else None)

    def __repr__(self) -> str:
        return str(self.report) if self.report else f"Compiled({len(self.graph.ops)} operations)"

    def _shape(self, name: str, batch: int) -> tuple[int, ...]:
        form = self.graph.forms[name]
        if form.kind == "image":
            return (batch, form.channels, form.height, form.width)
        return (batch, form.width, form.channels) if form.kind == "tokens" else (batch, form.channels)

    def __getstate__(self) -> dict[str, Any]:
        names = ("graph", "_threads", "_vectors", "picks", "report")
        return {n: getattr(self, n) for n in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()


def _fits(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if len(found) != len(wanted):
        return False
    usual = found[1:] == wanted[1:] and wanted[:1] in ((-1,), found[:1])
    return usual or all(s in (-1, n) for s, n in zip(wanted, found, strict=True))


def _plain(x: Tensor) -> Tensor:
    return x if x.dtype is torch.float32 and x.is_contiguous() else x.to(torch.float32).contiguous()


def _target(vectors: str | None) -> tuple[Target | None, str]:
    """The CPU that kernels are for; or None and why there can be none."""
    try:
        return host(vectors), ""
    except DependencyError as e:
        return None, str(e)
    except ModelError as e:
        if vectors is not None:
            raise
        return None, str(e)


class _TorchOp:
    """One operation that torch does."""

    def __init__(self, op: Op) -> None:
        self.op = op
        self._function = function_of(op.settings["target"])

    def __call__(self, values: dict[str, Any]) -> None:
        s = self.op.settings
        values[self.op.name] = self._function(*_filled(s["args"], values), **_filled(s["kwargs"], values))


def _filled(x: Any, values: dict[str, Any]) -> Any:
    if isinstance(x, Ref):
        return values[x.name]
    if isinstance(x, list):
        return [_filled(y, values) for y in x]
    if isinstance(x, dict):
        return {k: _filled(v, values) for k, v in x.items()}
    return x
