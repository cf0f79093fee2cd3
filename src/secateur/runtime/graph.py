"""The program before it is laid out: operations on named values, with sizes of one example."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

__all__ = ["Form", "Graph", "Op", "Ref", "function_of", "name_of", "references"]


_MOST = 49  # weights of a depthwise window, all unrolled


@dataclass(frozen=True)
class Form:
    """What one value looks like to the kernels.

    Attributes:
        kind: ``"image"`` is ``[batch, channels, height, width]``, ``"tokens"`` ``[batch, width, channels]``,
            ``"matrix"`` ``[batch, channels]``, whose pixels are the examples of the batch.
        channels: rows of a kernel's matrix.
        height: rows of pixels.
        width: pixels of a row; 1 for a matrix, until the batch is known.
    """

    kind: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Ref:
    """A value among the arguments of a torch operation."""

    name: str


@dataclass
class Op:
    """One operation.

    Attributes:
        kind: the kernel's name, or ``"torch"``.
        name: of the value it gives.
        inputs: names of the values it takes.
        form: of its value; None for what only torch can hold.
        settings: whole numbers, floats and words; for torch, ``target``, ``args`` and ``kwargs``.
        tensors: weights, on the CPU in float32.
        label: the parameter or module that a reader knows it by.
        why: why torch does it.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    form: Form | None
    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    label: str = ""
    why: str = ""

    @property
    def depthwise(self) -> bool:
        """Whether every channel of an image has one window of its own, and nothing is added."""
        if self.kind != "conv" or self.form is None or self.form.kind != "image" or len(self.inputs) != 1:
            return False
        weight = self.tensors["weight"]
        return self.settings["groups"] == len(weight) and weight.shape[1] == 1 and weight[0].numel() <= _MOST


@dataclass
class Graph:
    """A whole model.

    Attributes:
        inputs: names of the values the user gives, flat.
        ops: in an order in which they can run.
        outputs: what is returned: names of values in the structure ``spec``; None where the model returns no tensor.
        constants: parameters and buffers that torch operations read.
        in_spec: structure of the arguments, as ``torch.utils._pytree`` writes it.
        out_spec: structure of the results.
        forms: of all values that have one.
        shapes: of the inputs, the batch as -1 where it is open.
    """

    inputs: list[str]
    ops: list[Op]
    outputs: list[str | None]
    constants: dict[str, torch.Tensor]
    in_spec: str
    out_spec: str
    forms: dict[str, Form]
    shapes: list[tuple[int, ...]]

    def users(self) -> dict[str, list[Op]]:
        """Which operations take each value."""
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                found.setdefault(name, []).append(op)
        return found


def references(x: Any) -> Iterator[str]:
    """Names of the values in nested arguments."""
    if isinstance(x, Ref):
        yield x.name
    elif isinstance(x, list | tuple):
        for y in x:
            yield from references(y)
    elif isinstance(x, dict):
        for y in x.values():
            yield from references(y)


def name_of(target: Any) -> str:
    """An operation of a graph as a name that a file can hold.

    Example:
        >>> name_of(torch.ops.aten.relu.default)
        'aten.relu.default'
    """
    return str(target) if isinstance(target, torch._ops.OpOverload) else f"{target.__module__}:{target.__name__}"


def function_of(name: str) -> Callable[..., Any]:
    """The operation with that name.

    Example:
        >>> function_of("aten.relu.default")(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        found: Any = importlib.import_module(module)
        return getattr(found, attribute)  # type: ignore[no-any-return]
    found = torch.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]
