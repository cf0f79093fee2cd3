"""What the attention kernel must give, by torch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["additive", "attention"]


def attention(
    settings: dict[str, Any], tensors: dict[str, Tensor], q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> Tensor:
    """``softmax(s·q·kᵀ + m)·v`` of every head, the heads' channels side by side, ``[batch, tokens, channels]``.

    Args:
        settings: ``heads``, ``scale`` and whether it is ``causal``.
        tensors: a ``mask`` that is known, ``[heads or 1, keys, queries]``; or none.
        q: queries.
        k: keys.
        v: values.
        mask: one that is computed, ``[batch, heads or 1, keys, queries]``.

    Example:
        >>> one = torch.tensor([[[1.0], [0.0]]])
        >>> attention({"heads": 1, "scale": 1.0, "causal": True}, {}, one, one, one)
        tensor([[[1.0000],
                 [0.5000]]])
    """
    mask = tensors.get("mask") if mask is None else mask
    split = (*q.shape[:2], settings["heads"], -1)
    q, k, v = (x.reshape(split).transpose(1, 2) for x in (q, k, v))
    added = None if mask is None else mask.mT.to(q.dtype)
    y = F.scaled_dot_product_attention(q, k, v, added, is_causal=settings["causal"], scale=settings["scale"])
    return y.transpose(1, 2).flatten(2)


def additive(mask: Tensor, like: Tensor, queries: int, keys: int, heads: int) -> Tensor:
    """Any mask of scaled dot-product attention as numbers to add, ``[batch, heads or 1, keys, queries]``.

    Args:
        mask: truth values, false where a key is hidden, or what is added to the scores; any shape that expands.
        like: a tensor with the batch's size.
        queries: how many.
        keys: how many.
        heads: how many; 1 when all have the same mask.

    Example:
        >>> additive(torch.tensor([[True, False]]), torch.zeros(1), queries=1, keys=2, heads=1)
        tensor([[[[0.],
                  [-inf]]]])
    """
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
    return mask.to(torch.float32).expand(len(like), heads, queries, keys).mT.contiguous()
