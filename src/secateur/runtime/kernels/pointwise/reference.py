"""What the pixel-by-pixel kernels must give, by torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["activation", "add", "clamp", "concat"]


def add(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor, z: Tensor) -> Tensor:
    """``clamp(x + z)``.

    Example:
        >>> add({"range": (0.0, 5.0)}, {}, torch.tensor([1.0, -2.0]), torch.tensor([9.0, 1.0]))
        tensor([5., 0.])
    """
    return torch.clamp(x + z, *settings["range"])


def clamp(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """``min(max(x, low), high)``.

    Example:
        >>> clamp({"range": (0.0, 5.0)}, {}, torch.tensor([9.0, -1.0]))
        tensor([5., 0.])
    """
    return torch.clamp(x, *settings["range"])


def activation(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """``clamp(f(x))`` with the function that the settings name.

    Example:
        >>> activation({"function": "hardswish"}, {}, torch.tensor([-4.0, 3.0]))
        tensor([-0., 3.])
        >>> activation({"function": "leaky_relu", "parameter": 0.5}, {}, torch.tensor([-4.0, 3.0]))
        tensor([-2.,  3.])
    """
    name = settings["function"]
    if name == "gelu_tanh":
        y = F.gelu(x, approximate="tanh")
    elif name in ("leaky_relu", "elu"):
        y = getattr(F, name)(x, settings["parameter"])
    else:
        y = getattr(F, name)(x)
    return torch.clamp(y, *settings.get("range", (None, math.inf)))


def concat(settings: dict[str, Any], tensors: dict[str, Tensor], *parts: Tensor) -> Tensor:
    """Channels side by side.

    Example:
        >>> concat({}, {}, torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, 1)).flatten()
        tensor([0., 0., 1.])
    """
    return torch.cat(parts, 1)
