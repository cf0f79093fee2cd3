"""What the layer norm kernel must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

__all__ = ["layer_norm"]


def layer_norm(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """``(x − mean)/√(variance + ε)·weight + bias`` over the last dimension.

    Example:
        >>> import torch
        >>> ones = {"weight": torch.ones(2), "bias": torch.zeros(2)}
        >>> layer_norm({"eps": 0.0}, ones, torch.tensor([[1.0, 3.0]]))
        tensor([[-1.,  1.]])
    """
    return F.layer_norm(x, x.shape[-1:], tensors["weight"].to(x.dtype), tensors["bias"].to(x.dtype), settings["eps"])
