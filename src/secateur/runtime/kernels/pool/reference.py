"""What the pooling kernels must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

__all__ = ["avg_pool", "max_pool"]


def max_pool(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """The largest of every window.

    Example:
        >>> import torch
        >>> how = {"kernel": (1, 2), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
        >>> max_pool(how, {}, torch.tensor([[[[1.0, 3.0, 2.0]]]]))
        tensor([[[[3., 3.]]]])
    """
    s = settings
    return F.max_pool2d(x, s["kernel"], s["stride"], s["padding"], s["dilation"])


def avg_pool(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """The mean of every window, its padding counted.

    Example:
        >>> import torch
        >>> avg_pool({"kernel": (1, 2), "stride": (1, 1), "padding": (0, 0)}, {}, torch.tensor([[[[1.0, 3.0, 2.0]]]]))
        tensor([[[[2.0000, 2.5000]]]])
    """
    return F.avg_pool2d(x, settings["kernel"], settings["stride"], settings["padding"])
