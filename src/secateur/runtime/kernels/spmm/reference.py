"""What the layer kernel must give, by torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..pointwise.reference import activation

__all__ = ["conv"]


def conv(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor, residual: Tensor | None = None) -> Tensor:
    """``clamp(f(W ∗ x + b + residual))``.

    Args:
        settings: stride, padding, dilation, groups and range; the padding after the last pixels, where it is another; the
            function f, where there is one.
        tensors: ``weight [o, i, kh, kw]`` and ``bias [o]``.
        x: ``[batch, i, h, w]``, or ``[…, i]``.
        residual: added before the function and the clamp.

    Example:
        >>> one = {"weight": torch.tensor([[[[2.0]]], [[[-1.0]]]]), "bias": torch.tensor([0.5, 0.0])}
        >>> how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "range": (0.0, 6.0)}
        >>> conv(how, one, torch.tensor([[1.0], [4.0]]))
        tensor([[2.5000, 0.0000],
                [6.0000, 0.0000]])
    """
    weight, bias = tensors["weight"].to(x.dtype), tensors["bias"].to(x.dtype)
    if x.dim() == 4:
        (top, left), (below, right) = settings["padding"], settings.get("after", settings["padding"])
        x = F.pad(x, (left, right, top, below))
        y = F.conv2d(x, weight, bias, settings["stride"], 0, settings["dilation"], settings["groups"])
    elif settings["groups"] == 1:
        y = F.linear(x, weight[:, :, 0, 0], bias)
    else:
        y = x * weight[:, 0, 0, 0] + bias
    y = y if residual is None else y + residual
    if settings.get("function"):
        return activation(settings, {}, y)
    low, high = settings["range"]
    return torch.clamp(y, low, high)
