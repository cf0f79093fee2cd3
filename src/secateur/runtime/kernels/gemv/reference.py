"""What the kernel of dense layers on one vector must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..pointwise.reference import activation

__all__ = ["gemv"]


def gemv(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor, residual: Tensor | None = None) -> Tensor:
    """``clamp(f(W·x + b + residual))`` of a batch of one.

    Args:
        settings: its range; the function f, where there is one.
        tensors: ``weight [o, i, 1, 1]`` and ``bias [o]``.
        x: ``[1, i]``.
        residual: ``[1, o]``, added before the function and the clamp.

    Example:
        >>> import torch
        >>> one = {"weight": torch.tensor([[1.0, 2.0], [-1.0, 0.0]])[:, :, None, None], "bias": torch.tensor([0.5, 0.0])}
        >>> gemv({"range": (0.0, 6.0)}, one, torch.tensor([[1.0, 1.0]]))
        tensor([[3.5000, 0.0000]])
    """
    y = tensors["weight"].flatten(1).to(x.dtype).mv(x[0]) + tensors["bias"].to(x.dtype)
    y = (y if residual is None else y + residual[0])[None]
    return activation(settings, {}, y) if settings.get("function") else y.clamp(*settings["range"])
