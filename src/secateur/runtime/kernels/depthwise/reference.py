"""What the depthwise kernel must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..spmm.reference import conv

__all__ = ["depthwise"]


def depthwise(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """``clamp(f(w_c ∗ x_c + b_c))`` for every channel c: a convolution with as many groups as channels.

    Example:
        >>> import torch
        >>> how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 2, "range": (0.0, 9.0)}
        >>> own = {"weight": torch.tensor([2.0, -1.0]).view(2, 1, 1, 1), "bias": torch.tensor([0.5, 0.0])}
        >>> depthwise(how, own, torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten()
        tensor([6.5000, 0.0000])
    """
    return conv(settings, tensors, x)
