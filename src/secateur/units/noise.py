"""Noise on the outputs of linear layers and convolutions, as noise on their weights would make it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..core.errors import ModelError
from .swap import Owners

__all__ = ["Noise"]

_FLOOR = 1e-8  # keeps the gradient of the root finite


class Noise:
    """Hooks that turn a layer's output a∗θ + b into a draw of N(a∗θ + b, a²∗σ²), one a number and call.

    Args:
        owners: the weights that have a variance.
        variance: parameter name → σ² of each weight.

    Raises:
        ModelError: a layer that is neither linear nor a convolution.
    """

    def __init__(self, owners: Owners, variance: Callable[[str], Tensor]) -> None:
        self._variance = variance
        self._names: dict[nn.Module, str] = {}
        self._handles: list[RemovableHandle] = []
        for name, places in owners.items():
            for module, leaf in places:
                if leaf != "weight" or not _known(module):
                    raise ModelError(
                        f"variational dropout is for the weights of Linear, Conv1d, Conv2d, Conv3d and Conv1D; {name!r} is "
                        f"the {leaf} of a {type(module).__name__}: leave it out with exclude=({name!r},)"
                    )
                self._names[module] = name

    def on(self) -> None:
        """Hook the layers."""
        self.off()
        self._handles = [m.register_forward_hook(self._add, with_kwargs=True) for m in self._names]

    def off(self) -> None:
        """Unhook them."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _add(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor) -> Tensor | None:
        if not module.training:
            return None
        inputs: Tensor = args[0] if args else next(iter(kwargs.values()))
        spread = _through(module, inputs.square(), self._variance(self._names[module]).to(inputs.dtype))
        return output + (spread.float() + _FLOOR).sqrt().to(output.dtype) * torch.randn_like(output)


def _known(module: nn.Module) -> bool:
    # the projection inside MultiheadAttention is a Linear that is never called
    called = type(module).__name__ != "NonDynamicallyQuantizableLinear"
    return type(module).__name__ == "Conv1D" or (called and isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d))


def _through(module: Any, inputs: Tensor, weight: Tensor) -> Tensor:
    """What the layer does, with another weight and no bias."""
    if isinstance(module, nn.Linear):
        return nn.functional.linear(inputs, weight)
    if type(module).__name__ == "Conv1D":
        return inputs @ weight
    found: Tensor = module._conv_forward(inputs, weight, None)
    return found
