"""The model as a graph of undecomposed ATen operations, without touching the model."""

from __future__ import annotations

import dataclasses as dc
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn
from torch.fx import traceback
from torch.utils import _pytree as pytree

from ..core.errors import ModelError

__all__ = [
    "ExampleInputs", "Observer", "batch_size", "call", "no_fast_path", "plain_inputs", "quiet", "split_inputs", "trace",
    "untouched", "unwrap",
]  # fmt: skip

ExampleInputs: TypeAlias = "torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]"


def unwrap(model: nn.Module) -> nn.Module:
    """The module behind ``torch.compile``: its names carry no prefix."""
    inner = getattr(model, "_orig_mod", model)
    return inner if isinstance(inner, nn.Module) else model


def split_inputs(example_inputs: ExampleInputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs as positional and keyword arguments of ``forward``.

    Args:
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.

    Raises:
        ModelError: it is none of these.

    Example:
        >>> split_inputs(torch.zeros(1, 2))
        ((tensor([[0., 0.]]),), {})
        >>> split_inputs({"input_ids": 3})
        ((), {'input_ids': 3})
    """
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    kind = type(example_inputs).__name__
    raise ModelError(f"example_inputs must be a tensor, a tuple of arguments or a dict of keyword arguments; got {kind}")


def plain_inputs(example_inputs: ExampleInputs) -> Any:
    """The same with any mapping, such as the output of a tokenizer, as a ``dict``."""
    return dict(example_inputs) if isinstance(example_inputs, Mapping) else example_inputs


def call(model: nn.Module, example_inputs: ExampleInputs) -> Any:
    """Run ``model`` on example inputs of any of the three forms."""
    args, kwargs = split_inputs(example_inputs)
    return model(*args, **kwargs)


def batch_size(example_inputs: ExampleInputs) -> int:
    """The first size of the first tensor with dimensions: how many examples the inputs hold.

    Raises:
        ModelError: there is no such tensor, or it is empty.

    Example:
        >>> batch_size({"input_ids": torch.zeros(4, 16)})
        4
    """
    for leaf in pytree.tree_leaves(split_inputs(example_inputs)):
        if isinstance(leaf, torch.Tensor) and leaf.dim():
            if leaf.shape[0] == 0:
                raise ModelError("example_inputs hold an empty batch; give at least one example")
            return leaf.shape[0]
    raise ModelError("example_inputs hold no tensor with a batch dimension; give at least one")


class Observer(Protocol):
    """Watches the one run of forward that a trace makes."""

    def begin(self, model: nn.Module) -> None:
        """Before the run; what is changed in the model's attributes is put back afterwards."""

    def enter(self, model: nn.Module) -> None:
        """Inside the run, when the observer's context is entered."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exception: Any) -> Any: ...


def trace(
    model: nn.Module, example_inputs: ExampleInputs, *, dynamic_batch: bool = True, observer: Observer | None = None
) -> torch.export.ExportedProgram:
    """Export a model in evaluation mode to undecomposed ATen.

    Nothing runs on data: the tensors of the export are fake. Attributes that ``forward`` assigns, buffers and the
    training flags are as before when this returns.

    Args:
        model: any module.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        dynamic_batch: leave the batch size open where the model allows it; a model that does not is exported at the
            sizes given.
        observer: watches forward run.

    Raises:
        ModelError: ``torch.export`` cannot follow the model.

    Example:
        >>> program = trace(nn.Linear(3, 2), torch.zeros(4, 3))
        >>> [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
        ['aten.linear.default']
    """
    model = unwrap(model)
    args, kwargs = split_inputs(example_inputs)
    if dynamic_batch:
        try:
            return _export_open(model, args, kwargs, batch_size(example_inputs))
        except Exception:  # whatever stopped it, the static export says it better
            logging.getLogger(__name__).debug("no dynamic batch for %s", type(model).__name__, exc_info=True)
    try:
        return _export(model, args, kwargs, observer=observer)
    except Exception as e:
        reason = next((line.strip() for line in str(e).splitlines() if line.strip()), "no reason given")
        raise ModelError(
            f"{type(model).__name__} cannot be traced by torch.export ({type(e).__name__}: {reason[:300]}); forward "
            "must not branch on the values of tensors, and example_inputs must be what forward takes"
        ) from e


def _export(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any = None, observer: Observer | None = None
) -> torch.export.ExportedProgram:
    with untouched(model), quiet(), no_fast_path(), torch.no_grad(), traceback.preserve_node_meta(observer is not None):
        model.eval()
        model.forward = _plain_outputs(model.forward)  # `untouched` takes it off again
        if observer is not None:
            observer.begin(model)
            model.forward = _observed(model, model.forward, observer)
        return torch.export.export(model, args, kwargs or None, dynamic_shapes=shapes, strict=False)


def _observed(model: nn.Module, forward: Callable[..., Any], observer: Observer) -> Callable[..., Any]:
    @wraps(forward)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        observer.enter(model)
        with observer:
            return forward(*args, **kwargs)

    return wrapped


def _plain_outputs(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward whose result ``torch.export`` can name: dataclasses as dicts, objects without tensors it knows (a
    Transformers cache) left out.
    """

    def plain(x: Any) -> Any:
        if dc.is_dataclass(x) and not isinstance(x, type):
            return pytree.tree_map(plain, {f.name: getattr(x, f.name) for f in dc.fields(x)})
        return x if isinstance(x, torch.Tensor | int | float | bool | str) else None

    @wraps(forward)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        out = forward(*args, **kwargs)
        named = pytree.tree_map(plain, out)
        if not any(isinstance(x, torch.Tensor) for x in pytree.tree_leaves(named)):
            raise ModelError(f"forward returns {type(out).__name__}, in which no tensor can be found")
        return named

    return wrapped


def _export_open(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], batch: int) -> torch.export.ExportedProgram:
    """Export with the first size of every tensor of the batch left open; an error when the model closes it."""

    def of_batch(x: Any) -> bool:
        return isinstance(x, torch.Tensor) and x.dim() > 0 and x.shape[0] == batch

    # A size of 1 is always taken for a constant, so one example is traced as two.
    twice, twice_by_name = pytree.tree_map(lambda x: torch.cat([x, x]) if batch == 1 and of_batch(x) else x, (args, kwargs))
    shapes = pytree.tree_map(lambda x: {0: torch.export.Dim.AUTO} if of_batch(x) else None, (args, kwargs))
    program = _export(model, twice, twice_by_name, _by_name(model, *shapes))
    inputs = set(program.graph_signature.user_inputs)
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    if not any(isinstance(v, torch.Tensor) and v.dim() and isinstance(v.shape[0], torch.SymInt) for v in values):
        raise ModelError("the model fixes its batch size")
    return program


def _by_name(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Dynamic shapes as ``torch.export`` reads them: a tuple without keywords, else one mapping by argument name."""
    if not kwargs:
        return args
    if not args:
        return kwargs
    names = list(inspect.signature(model.forward).parameters)
    return {**dict(zip(names, args, strict=False)), **kwargs}


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back every attribute of every module, lists and dicts (buffers, parameters) with their contents."""
    before = [(m, {k: (v, _contents(v)) for k, v in vars(m).items()}) for m in model.modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            state = vars(module)
            for name in state.keys() - attributes.keys():
                del state[name]
            for name, (value, contents) in attributes.items():
                state[name] = value
                if isinstance(value, list):
                    value[:] = contents
                elif isinstance(value, dict | set):  # hooks are in an OrderedDict
                    value.clear()
                    value.update(contents)


def _contents(value: Any) -> Any:
    return next((plain(value) for plain in (list, dict, set) if isinstance(value, plain)), None)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and log lines of ``torch.export`` for as long as it runs."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def no_fast_path() -> Iterator[None]:
    """Keep ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` from hiding in one fused operation."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
