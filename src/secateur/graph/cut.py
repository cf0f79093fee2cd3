"""Cutting indices out of a user's module, and putting everything back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .sizes import Slot
from .slots import read, write
from .solve import grouped_fields, torch_fields

if TYPE_CHECKING:
    from .analysis import Analysis, Gone

__all__ = ["Cut", "masked"]


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers under every name they have."""
    return dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])


class Cut:
    """One smaller model, made in place; ``undo`` gives the old one back, bit for bit.

    Parameters stay the same objects, so that tied ones stay tied; only their data are other.
    """

    def __init__(
        self, model: nn.Module, analysis: Analysis, gone: Gone, changes: Mapping[Slot, int], folds: Mapping[str, Tensor]
    ) -> None:
        self.model = model
        self.changes: dict[Slot, int] = {}
        self.error = 0.0
        self._data: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self._attributes = [(m, copy.copy(vars(m))) for m in model.modules()]
        try:
            self._slice(analysis, gone, folds)
            self._write(changes)
        except BaseException:
            self.undo()
            raise

    @torch.no_grad()
    def _slice(self, analysis: Analysis, gone: Gone, folds: Mapping[str, Tensor]) -> None:
        done: set[int] = set()
        for name, tensor in tensors(self.model).items():
            if id(tensor) in done:
                continue
            done.add(id(tensor))
            dense = tensor.detach()
            if name in folds:
                dense = dense.double() + folds[name].to(dense.device)  # rounded by `settle`, when all is checked
            small = sliced(dense, analysis, name, gone)
            if small is not None or name in folds:
                self._data.append((tensor, tensor.data, tensor.grad))
                tensor.grad = None
                tensor.data = dense if small is None else small

    def settle(self) -> None:
        """Give the tensors their own precision."""
        for tensor, data, _ in self._data:
            tensor.data = tensor.data.to(data.dtype)

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
        for tensor, data, grad in self._data:
            tensor.data = data
            tensor.grad = grad
        for module, attributes in self._attributes:
            vars(module).clear()
            vars(module).update(attributes)


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
    p, found = analysis.labels, {}
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
