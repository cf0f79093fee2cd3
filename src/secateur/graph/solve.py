"""The integers of the user's modules that make forward fit a smaller model."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from .provenance import dims_read, touched, unequal
from .sizes import Axis, Expression, Slot, evaluate, show, slots

if TYPE_CHECKING:
    from .analysis import Analysis, Gone

__all__ = ["Conflict", "solve", "torch_fields"]

_MOST = 1 << 17  # values tried for one integer


@dc.dataclass(frozen=True, eq=False)
class Conflict:
    """Dimensions that no value of an integer suits.

    Args:
        text: why.
        labels: the dimensions.
        call: the call that would not fit.
    """

    text: str
    labels: list[np.ndarray]
    call: int | None


@dc.dataclass(frozen=True, eq=False)
class _Equation:
    left: Expression
    right: Expression
    read: Mapping[Slot | Axis, int]
    labels: list[np.ndarray]
    call: int | None
    soft: bool = False  # a comparison that held

    def unknown(self, known: Mapping[Slot, int]) -> set[Slot]:
        return (slots(self.left) | slots(self.right)) - known.keys()

    def holds(self, values: Mapping[Slot, int]) -> bool:
        both = {**self.read, **values}
        try:
            return bool(evaluate(self.left, both) == evaluate(self.right, both))
        except ArithmeticError:
            return False


def solve(analysis: Analysis, model: nn.Module, gone: Gone) -> tuple[dict[Slot, int], list[Conflict]]:
    """New values for the integers that must change, and the dimensions for which there is none.

    Equations with one unknown are solved by trying, its present value first; where all have several unknowns, one of
    them keeps its value.
    """
    recording, p = analysis.recording, analysis.labels
    dense = recording.slots
    conflicts = [
        Conflict("its parts would not be equal", [x for x in labels if not isinstance(x, int)], number)
        for number, labels in unequal(recording, p, gone)
    ]
    todo = list(_equations(analysis, model, gone))
    values: dict[Slot, int] = {}
    by: dict[Slot, _Equation] = {}
    while todo:
        progress, rest = False, []
        for equation in todo:
            unknown = equation.unknown(values)
            if len(unknown) > 1:
                rest.append(equation)
                continue
            progress = True
            if unknown:
                slot = unknown.pop()
                found = _find(equation, slot, values, dense[slot])
                if found is not None:
                    values[slot], by[slot] = found, equation
                    continue
            elif equation.holds(values):
                continue
            if not equation.soft:
                others = [by[s].labels for s in slots(equation.left) | slots(equation.right) if s in by]
                text = f"no value of {show(equation.left)} fits all that forward makes of it"
                conflicts.append(Conflict(text, [*equation.labels, *(x for o in others for x in o)], equation.call))
        todo = rest
        if todo and not progress:
            equation = next((e for e in todo if not e.soft), None)
            if equation is None:
                break
            slot = min(equation.unknown(values), key=str)
            values[slot] = dense[slot]
    return {s: v for s, v in values.items() if v != dense[s]}, conflicts


def _equations(analysis: Analysis, model: nn.Module, gone: Gone) -> Iterator[_Equation]:
    recording, p = analysis.recording, analysis.labels
    shapes = analysis.shapes_of(gone)
    direct, compound = [], []
    for slot, value in torch_fields(model, shapes):
        if slot in recording.slots:
            direct.append(_Equation(slot, value, {}, [], None))
    for r in analysis.requirements:
        if slots(r.expression):
            read = dims_read(r.expression, recording, p, gone)
            equation = _Equation(r.expression, r.count(gone), read, touched(r, recording, p), r.call)
            (direct if isinstance(r.expression, Slot) else compound).append(equation)
    yield from direct
    yield from compound
    for a, b in recording.notes.equal:
        if slots(a) or slots(b):
            read = {**dims_read(a, recording, p, gone), **dims_read(b, recording, p, gone)}
            yield _Equation(a, b, read, [], None, soft=True)


def _find(equation: _Equation, slot: Slot, values: dict[Slot, int], dense: int) -> int | None:
    if equation.left == slot and isinstance(equation.right, int):
        return equation.right
    for value in (dense, *range(min(dense, _MOST))):
        if equation.holds({**values, slot: value}):
            return value
    return None


def torch_fields(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Slot, int]]:
    """The integers in which PyTorch's own modules repeat the sizes of their parameters.

    Args:
        model: any module.
        shapes: sizes of the parameters and buffers, by the names that have them.
    """
    for name, module in model.named_modules():

        def of(leaf: str, name: str = name) -> tuple[int, ...] | None:
            return shapes.get(f"{name}.{leaf}" if name else leaf)

        weight = of("weight")
        if isinstance(module, nn.modules.batchnorm._NormBase):
            weight = weight or of("running_mean")
        if weight is None:
            continue
        for field, value in _fields(module, weight).items():
            keys = (field,) if isinstance(value, int) else tuple((field, k) for k in range(len(value)))
            for key, size in zip(keys, [value] if isinstance(value, int) else value, strict=True):
                yield Slot(name, key if isinstance(key, tuple) else (key,)), size


def _fields(module: nn.Module, weight: tuple[int, ...]) -> dict[str, Any]:
    if isinstance(module, nn.Linear):
        return {"out_features": weight[0], "in_features": weight[1]}
    if isinstance(module, nn.Bilinear):
        return {"out_features": weight[0], "in1_features": weight[1], "in2_features": weight[2]}
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return {"in_channels": weight[0]}
    if isinstance(module, nn.modules.conv._ConvNd):
        return {"out_channels": weight[0]}
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return {"num_features": weight[0]}
    if isinstance(module, nn.GroupNorm):
        return {"num_channels": weight[0]}
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return {"normalized_shape": weight}
    if isinstance(module, nn.Embedding):
        return {"num_embeddings": weight[0], "embedding_dim": weight[1]}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": weight[0]}
    return {}


def grouped_fields(model: nn.Module) -> Iterator[tuple[Slot, int]]:
    """The channels of convolutions that depend on their number of groups, which must be right by now."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.modules.conv._ConvTransposeNd) and weight is not None:
            yield Slot(name, ("out_channels",)), weight.shape[1] * module.groups
        elif isinstance(module, nn.modules.conv._ConvNd) and weight is not None:
            yield Slot(name, ("in_channels",)), weight.shape[1] * module.groups
