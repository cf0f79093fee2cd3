"""Layers that compute with other weights than their own, for as long as a forward pass takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["Owners", "Swap"]

Owners = Mapping[str, Sequence[tuple[nn.Module, str]]]
"""Parameter name → the modules that hold it, and what they call it."""

_Swapped = tuple[nn.Module, str, nn.Parameter]


class Swap:
    """Hooks that put weights in before a forward pass and the parameters back after it, when it fails too.

    The whole model's pass swaps all of them, so that a weight which is used by another module than its own is swapped as
    well, and once for all its uses; the pass of a module that is called by itself swaps its own.

    Args:
        model: the model.
        owners: the parameters to swap.
        instead: parameter name, parameter, whether the module trains → the weight to compute with; None to leave it.
    """

    def __init__(self, model: nn.Module, owners: Owners, instead: Callable[[str, Tensor, bool], Tensor | None]) -> None:
        self._model, self._instead = model, instead
        self._places = {name: places[0] for name, places in owners.items()}
        self._slots: dict[nn.Module, list[tuple[nn.Module, str, str]]] = {}
        for name, places in owners.items():
            for module, leaf in places:
                self._slots.setdefault(module, []).append((module, leaf, name))
        self._slots[model] = [slot for slots in self._slots.values() for slot in slots]
        self._frames: list[tuple[nn.Module, list[_Swapped]]] = []
        self._handles: list[RemovableHandle] = []

    def on(self) -> None:
        """Hook the modules."""
        self.off()
        for module in self._slots:
            self._handles.append(module.register_forward_pre_hook(self._enter))
            self._handles.append(module.register_forward_hook(self._leave, always_call=True))

    def off(self) -> None:
        """Unhook them; every parameter is in its place afterwards."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.put_back()

    def parameter(self, name: str) -> Tensor:
        """A parameter, in a pass too."""
        owner, leaf = self._places[name]
        now = owner._parameters[leaf]
        if isinstance(now, nn.Parameter):
            return now
        return next(p for _, frame in self._frames for o, where, p in frame if o is owner and where == leaf)

    def put_back(self) -> None:
        """Undo what a pass left that never came to its end (an interrupt)."""
        while self._frames:
            self._close()

    def _enter(self, module: nn.Module, args: Any) -> None:
        if module is self._model:
            self.put_back()
        made: dict[str, Tensor | None] = {}
        frame: list[_Swapped] = []
        self._frames.append((module, frame))
        for owner, leaf, name in self._slots[module]:
            parameter = owner._parameters[leaf]
            if not isinstance(parameter, nn.Parameter):  # a pass around this one has swapped it
                continue
            if name not in made:
                made[name] = self._instead(name, parameter, owner.training)
            weight = made[name]
            if weight is not None:
                owner._parameters[leaf] = weight  # type: ignore[assignment]
                frame.append((owner, leaf, parameter))
        _refresh(frame)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._frames and self._frames[-1][0] is module:  # a hook before ours may have failed before we came in
            self._close()

    def _close(self) -> None:
        _, frame = self._frames.pop()
        for owner, leaf, parameter in reversed(frame):
            owner._parameters[leaf] = parameter
        _refresh(frame)


def _refresh(frame: Sequence[_Swapped]) -> None:
    """Recurrent layers keep a list of their weights."""
    for owner in {o: None for o, _, _ in frame if isinstance(o, nn.RNNBase)}:
        with torch.no_grad():
            owner._flat_weights = [getattr(owner, n, None) for n in owner._flat_weights_names]
