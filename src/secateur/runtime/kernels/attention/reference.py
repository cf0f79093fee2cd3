"""What the attention kernel must give, by torch."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

__all__ = ["attention"]


def attention(settings: dict[str, Any], tensors: dict[str, Tensor], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``softmax(s·q·kᵀ)·v`` of every head, the heads' channels side by side, ``[batch, tokens, channels]``.

    Example:
        >>> import torch
        >>> one = torch.tensor([[[1.0], [0.0]]])
        >>> attention({"heads": 1, "scale": 0.0}, {}, one, one, one)
        tensor([[[0.5000],
                 [0.5000]]])
    """
    split = (*q.shape[:2], settings["heads"], -1)
    q, k, v = (x.reshape(split).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=settings["scale"]).transpose(1, 2).flatten(2)
