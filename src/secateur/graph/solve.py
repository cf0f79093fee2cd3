"""The integers of the user's modules that make forward fit a smaller model."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from .provenance import read_off, unequal
from .sizes import Axis, Expression, Slot, axes, evaluate, show, slots

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
    read: dict[Axis, int]
    labels: list[np.ndarray]
    call: int | None
    soft: bool = False  # a comparison that held

    def unknown(self, known: Mapping[Slot, int]) -> set[Slot]:
        return (slots(self.left) | slots(self.right)) - known.keys()

    def holds(self, values: Mapping[Slot, int]) -> bool:
        both: dict[Any, int] = {**self.read, **values}
        try:
            return bool(evaluate(self.left, both) == evaluate(self.right, both))
        except ArithmeticError:
            return False


def solve(analysis: Analysis, model: nn.Module, gone: Gone) -> tuple[dict[Slot, int], list[Conflict]]:
    """New values for the integers that must change, and the dimensions for which there is none.

    Equations with one unknown are solved by trying, its present value first; where all have several unknowns, one of
    them keeps its value.
    """
    dense = analysis.recording.slots
    conflicts = [Conflict(text, labels, number) for number, text, labels in unequal(analysis.reader, gone)]
    todo = list(_equations(analysis, model, gone))
    values: dict[Slot, int] = {}
    by: dict[Slot, _Equation] = {}
    while todo:
        rest = []
        for equation in todo:
            unknown = equation.unknown(values)
            if len(unknown) > 1:
                rest.append(equation)
            elif not _settled(equation, unknown, values, by, dense) and not equation.soft:
                others = [by[s].labels for s in slots(equation.left) | slots(equation.right) if s in by]
                labels = [*equation.labels, *(x for o in others for x in o)]
                conflicts.append(Conflict(_misfit(equation), labels, equation.call))
        if len(rest) == len(todo):
            first = next((e for e in todo if not e.soft), None)
            if first is None:
                break
            slot = min(first.unknown(values), key=str)
            values[slot] = dense[slot]
        todo = rest
    return {s: v for s, v in values.items() if v != dense[s]}, conflicts


def _misfit(equation: _Equation) -> str:
    if slots(equation.left):
        return f"no value of {show(equation.left)} fits all that forward makes of it"
    return f"forward takes {show(equation.left)} of one tensor for a size of another"


def _settled(
    equation: _Equation, unknown: set[Slot], values: dict[Slot, int], by: dict[Slot, _Equation], dense: Mapping[Slot, int]
) -> bool:
    """Whether an equation holds, after finding its unknown if it has one."""
    if not unknown:
        return equation.holds(values)
    slot = unknown.pop()
    found = _find(equation, slot, values, dense[slot])
    if found is not None:
        values[slot], by[slot] = found, equation
    return found is not None


def _equations(analysis: Analysis, model: nn.Module, gone: Gone) -> Iterator[_Equation]:
    """What must hold, the simplest first; then what held before."""
    recording, reader = analysis.recording, analysis.reader
    direct = [_Equation(slot, recording.slots[slot], {}, [], None) for slot in recording.notes.numbers if isinstance(slot, Slot)]
    compound: list[_Equation] = []
    for slot, value in torch_fields(model, analysis.shapes_of(gone)):
        if slot in recording.slots:
            direct.append(_Equation(slot, value, {}, [], None))
    for r in analysis.requirements:
        if slots(r.expression) or all(reader.dims(a.source) is not None for a in axes(r.expression)):
            read = read_off(reader, r.expression, gone)
            equation = _Equation(r.expression, r.count(reader, gone), read, r.about(reader), r.call)
            (direct if isinstance(r.expression, Slot) else compound).append(equation)
    yield from direct
    yield from compound
    for a, b in recording.notes.equal:
        if slots(a) or slots(b):
            yield _Equation(a, b, read_off(reader, ("add", a, b), gone), [], None, soft=True)


def _find(equation: _Equation, slot: Slot, values: dict[Slot, int], dense: int) -> int | None:
    if equation.left == slot and type(equation.right) is int:
        return int(equation.right)
    tried = chain([dense], range(min(dense, _MOST)))
    return next((value for value in tried if equation.holds({**values, slot: value})), None)


_WEIGHTS = ("weight", "weight_orig", "parametrizations.weight.original")  # as they are, and under torch's own masks


def torch_fields(model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Slot, int]]:
    """The integers in which PyTorch's own modules repeat the sizes of their parameters.

    Args:
        model: any module.
        shapes: sizes of the parameters and buffers, by the names that have them.
    """
    for name, module in model.named_modules():

        def of(leaf: str, name: str = name) -> tuple[int, ...] | None:
            return shapes.get(f"{name}.{leaf}" if name else leaf)

        weight = next((s for s in map(of, _WEIGHTS) if s is not None), None)
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
