"""Cutting indices out of a user's module, and putting everything back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from .sizes import Slot
from .slots import read, write
from .solve import grouped_fields, torch_fields

if TYPE_CHECKING:
    from .analysis import Analysis, Gone

__all__ = ["Cut", "as_before_on_failure", "masked", "sliced", "tensors"]


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers under every name they have."""
    return dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])


@contextmanager
def as_before_on_failure(model: nn.Module) -> Iterator[None]:
    """Modules, their attributes, the sizes of tensors and their gradients are put back when what follows fails."""
    data = [(t, t.data, t.grad) for t in tensors(model).values()]
    attributes = [
        (m, dict(vars(m)), dict(m._modules), dict(m._buffers), set(m._non_persistent_buffers_set)) for m in model.modules()
    ]
    try:
        yield
    except BaseException:
        for tensor, values, grad in data:
            tensor.grad = None
            tensor.data, tensor.grad = values, grad
        for module, own, children, buffers, hidden in attributes:
            vars(module).clear()
            vars(module).update(own)
            module._modules.clear()
            module._modules.update(children)
            module._buffers.clear()
            module._buffers.update(buffers)
            module._non_persistent_buffers_set.clear()
            module._non_persistent_buffers_set.update(hidden)
        raise


class _Before(NamedTuple):
    """A tensor as it was, and what will be left of its gradient."""

    tensor: Tensor
    data: Tensor
    grad: Tensor | None
    smaller: Tensor | None


class Cut:
    """One smaller model, made in place; ``undo`` gives the old one back, bit for bit.

    Parameters stay the same objects, so that tied ones stay tied; only their data, and their gradients', are other.
    """

    def __init__(
        self, model: nn.Module, analysis: Analysis, gone: Gone, changes: Mapping[Slot, int], folds: Mapping[str, Tensor]
    ) -> None:
        self.model = model
        self.changes: dict[Slot, int] = {}
        self.error = 0.0
        self._data: list[_Before] = []
        self._attributes = [(m, copy.copy(vars(m))) for m in model.modules()]
        try:
            self._slice(analysis, gone, folds)
            self._write(changes)
        except BaseException:
            self.undo()
            raise

    @torch.no_grad()
    def _slice(self, analysis: Analysis, gone: Gone, folds: Mapping[str, Tensor]) -> None:
        names = analysis.labels.names
        made: dict[str, Tensor] = {}  # tensors that are one stay one, also where two parameters share their values
        for name, tensor in _once(tensors(self.model)).items():
            first = names.get(name, name)
            dense = tensor.detach()
            if first in folds:
                dense = dense.double() + folds[first].to(dense.device)  # rounded by `settle`, when all is checked
            small = sliced(dense, analysis, name, gone)
            if small is not None or first in folds:
                grad = tensor.grad if tensor.grad is None else _or(sliced(tensor.grad, analysis, name, gone), tensor.grad)
                self._data.append(_Before(tensor, tensor.data, tensor.grad, grad))
                tensor.grad = None
                tensor.data = made.setdefault(first, _or(small, dense))

    def settle(self) -> None:
        """Give the tensors their own precision, and what is left of their gradients."""
        made: dict[int, Tensor] = {}
        for b in self._data:
            if b.tensor.dtype != b.data.dtype:
                b.tensor.data = made.setdefault(b.tensor.data_ptr(), b.tensor.data.to(b.data.dtype))
            b.tensor.grad = b.smaller

    def _write(self, changes: Mapping[Slot, int]) -> None:
        wanted = {**changes}
        for slot, value in torch_fields(self.model, {n: tuple(t.shape) for n, t in tensors(self.model).items()}):
            wanted[slot] = value
        self._set(wanted)
        self._set(dict(grouped_fields(self.model)))

    def _set(self, wanted: Mapping[Slot, int]) -> None:
        new = {s: v for s, v in wanted.items() if read(self.model, s) != v}
        write(self.model, new)
        self.changes |= new

    def undo(self) -> None:
        """Give the old model back."""
        for b in self._data:
            b.tensor.grad = None
            b.tensor.data, b.tensor.grad = b.data, b.grad
        for module, attributes in self._attributes:
            vars(module).clear()
            vars(module).update(attributes)


def _once(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its names."""
    first: dict[int, str] = {}
    for name, tensor in named.items():
        first.setdefault(id(tensor), name)
    return {name: named[name] for name in first.values()}


def _or(small: Tensor | None, whole: Tensor) -> Tensor:
    return whole if small is None else small


def sliced(tensor: Tensor, analysis: Analysis, name: str, gone: Gone) -> Tensor | None:
    """What is left of a parameter or buffer; None if that is all of it."""
    p = analysis.labels
    dims = p.parameters.get(p.names.get(name, name))
    if dims is None:
        return None
    small = tensor
    for dim, labels in enumerate(dims):
        keep = analysis.keep(labels, tensor.shape[dim], gone)
        if len(keep) < tensor.shape[dim]:
            small = small.index_select(dim, torch.from_numpy(keep).to(tensor.device))
    return None if small is tensor else small.contiguous()


@torch.no_grad()
def masked(model: nn.Module, analysis: Analysis, gone: Gone) -> dict[str, Tensor]:
    """The parameters and buffers that a choice of units changes, with these units' entries zero."""
    p, found = analysis.labels, dict[str, Tensor]()
    for name, tensor in tensors(model).items():
        dims = p.parameters.get(p.names.get(name, name))
        for dim, labels in enumerate(dims or ()):
            keep = analysis.keep(labels, tensor.shape[dim], gone)
            if len(keep) < tensor.shape[dim]:
                mask = torch.zeros(tensor.shape[dim], dtype=torch.bool, device=tensor.device)
                mask[torch.from_numpy(keep).to(tensor.device)] = True
                shape: list[Any] = [1] * tensor.dim()
                shape[dim] = -1
                found[name] = found.get(name, tensor.detach()) * mask.view(shape).to(tensor.dtype)
    return found
