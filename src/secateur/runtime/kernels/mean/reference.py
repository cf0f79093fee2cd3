"""What the mean kernel must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["mean"]


def mean(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """The mean over height and width, which stay as sizes of 1.

    Example:
        >>> import torch
        >>> mean({}, {}, torch.tensor([[[[1.0, 3.0]]]]))
        tensor([[[[2.]]]])
    """
    return x.mean((2, 3), keepdim=True)
