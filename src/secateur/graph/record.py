"""One traced run of forward, with every Python call noted and every integer followed."""

from __future__ import annotations

import dataclasses as dc
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import traceback
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from ..core.errors import ModelError
from .sizes import Axis, Notes, Size, Slot, expression_of, plain
from .slots import follow
from .source import here
from .trace import ExampleInputs, batch_size, plain_inputs, trace

__all__ = ["LOOKS", "Call", "Recorder", "Recording", "Shape", "numbers", "record"]

LOOKS = frozenset({"__get__", "size", "dim", "ndimension", "stride", "numel", "nelement", "__len__", "is_contiguous",
                    "is_floating_point", "is_complex", "element_size", "get_device", "storage_offset"})  # fmt: skip


@dc.dataclass(frozen=True, eq=False)
class Call:
    """A call that forward makes to PyTorch.

    Args:
        name: of the function or method.
        args: positional arguments; tensors as their shapes, sizes with their provenance.
        kwargs: keyword arguments, likewise.
        outputs: shapes of the tensors it returns.
        place: ``file.py:line``, empty where no Python but PyTorch's makes it.
    """

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dc.field(default_factory=dict)
    outputs: tuple[tuple[int, ...], ...] = ()
    place: str = ""


_ARITHMETIC = frozenset({"add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "truediv", "floor_divide",
                         "floordiv", "remainder", "fmod", "mod", "pow", "float_power", "clamp", "clip", "clamp_min", "clamp_max",
                         "eq", "ne", "lt", "le", "gt", "ge", "where"})  # fmt: skip
_FILLS = {"tensor": 0, "as_tensor": 0, "scalar_tensor": 0, "full": 1, "full_like": 1, "fill": 1, "new_full": 2, "masked_fill": 2}


def numbers(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """The arguments of a call that it computes with: floating-point ones, and integers that are no sizes or positions.

    Example:
        >>> numbers("__rtruediv__", (torch.ones(2), 3), {}), numbers("view", (torch.ones(2), 1, 2), {})
        ([3], [])
    """
    core = name.strip("_")
    if core in _ARITHMETIC or core[1:] in _ARITHMETIC:  # __radd__, __iadd__
        counted: Any = (args, kwargs)
    else:
        counted = (args[_FILLS[core] :] if core in _FILLS else (), kwargs.get("fill_value"), kwargs.get("value"))
    integers = [x for x in pytree.tree_leaves(counted) if isinstance(x, int) and not isinstance(x, bool)]
    return integers + [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, float)]


class Shape(tuple[int, ...]):
    """The shape of a tensor, where the tensor itself stood, and what made it: ``(call, output)`` or a parameter's name."""

    source: Any = None


class Recorder(TorchFunctionMode):
    """Notes the calls of forward, and lets sizes of tensors be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.notes = Notes()
        self.slots: dict[Slot, int] = {}
        self._sources: dict[int, tuple[Any, Tensor]] = {}  # of tensors, by id; held, so that no id comes back

    def begin(self, model: nn.Module) -> None:
        """Follow the integers of a model that is about to run; the tracer puts them back."""
        self.slots = follow(model, self.notes)

    def enter(self, model: nn.Module) -> None:
        """Forward starts: know the parameters, which are stand-ins by now."""
        for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
            self._sources.setdefault(id(tensor), (name, tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        if name in LOOKS:
            return self._look(name, func(*pytree.tree_map(plain, args), **pytree.tree_map(plain, kwargs)), args)
        number = len(self.calls)
        self.calls.append(Call(name))
        self.notes.number(*(expression_of(x) for x in numbers(name, args, kwargs)))
        given_args, given_kwargs = pytree.tree_map(self._described, (args, kwargs))
        with traceback.annotate({"call": number}):
            out = func(*pytree.tree_map(plain, args), **pytree.tree_map(plain, kwargs))
        tensors = [x for x in pytree.tree_leaves(out) if isinstance(x, Tensor)]
        for k, tensor in enumerate(tensors):
            self._sources[id(tensor)] = ((number, k), tensor)
        shapes = tuple(tuple(int(s) for s in t.shape) for t in tensors)
        self.calls[number] = Call(name, given_args, given_kwargs, shapes, here())
        return out

    def _described(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        shape = Shape(int(n) for n in x.shape)
        shape.source = self._sources.get(id(x), (None,))[0]
        return shape

    def _look(self, name: str, value: Any, args: Any) -> Any:
        """A shape, with every size followed."""
        source = self._sources.get(id(args[0]))
        if source is None:
            return value
        if isinstance(value, torch.Size):
            return torch.Size([Size(int(n), Axis(source[0], k, int(n)), self.notes) for k, n in enumerate(value)])
        if name == "size" and type(value) is int and len(args) > 1:
            dim = int(args[1]) % args[0].dim()
            return Size(value, Axis(source[0], dim, value), self.notes)
        return value


@dc.dataclass(frozen=True, eq=False)
class Recording:
    """A traced run.

    Args:
        program: the graph.
        calls: the calls that made it, in order; empty when they could not be noted.
        nodes: for each call the operations it made.
        notes: what was seen of sizes.
        slots: the integers the modules hold.
        batch: examples in the traced inputs.
    """

    program: torch.export.ExportedProgram
    calls: tuple[Call, ...]
    nodes: dict[int, list[fx.Node]]
    notes: Notes
    slots: dict[Slot, int]
    batch: int


def record(model: nn.Module, example_inputs: ExampleInputs) -> Recording:
    """Trace a model at a fixed batch of two examples or more, so that no dimension of the batch is taken for one of size 1.

    Raises:
        ModelError: the model cannot be traced.
    """
    example_inputs = plain_inputs(example_inputs)
    if any(is_lazy(p) for p in [*model.parameters(), *model.buffers()]):
        raise ModelError(f"{type(model).__name__} has lazy layers without weights; run it once on an example first")
    try:
        batch = batch_size(example_inputs)
    except ModelError:
        return _record(model, example_inputs, 1)
    if batch == 1:
        try:
            return _record(model, _twice(example_inputs), 2)
        except ModelError:
            logging.getLogger(__name__).debug("%s takes no two examples", type(model).__name__, exc_info=True)
    return _record(model, example_inputs, batch)


def _record(model: nn.Module, example_inputs: ExampleInputs, batch: int) -> Recording:
    recorder = Recorder()
    try:
        program = trace(model, example_inputs, dynamic_batch=False, observer=recorder)
    except ModelError:
        recorder = Recorder()  # a model whose Python does not bear being followed is read from its graph alone
        program = trace(model, example_inputs, dynamic_batch=False)
    nodes: dict[int, list[fx.Node]] = {}
    for graph in _graphs(program.graph_module):
        for node in graph.nodes:
            number = (node.meta.get("custom") or {}).get("call")
            if number is not None and node.op == "call_function":
                nodes.setdefault(number, []).append(node)
    return Recording(program, tuple(recorder.calls), nodes, recorder.notes, recorder.slots, batch)


def _graphs(module: fx.GraphModule) -> list[fx.Graph]:
    return [m.graph for m in module.modules() if isinstance(m, fx.GraphModule)]


def _twice(example_inputs: ExampleInputs) -> Any:
    """The inputs with their first example once more."""
    batch = batch_size(example_inputs)

    def more(x: Any) -> Any:
        return torch.cat([x, x[:1]]) if isinstance(x, Tensor) and x.dim() and x.shape[0] == batch else x

    return pytree.tree_map(more, example_inputs)
