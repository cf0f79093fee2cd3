"""What copies into and out of the padded planes must give, by torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["copied", "pad", "phases"]


def copied(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """A value brought in or taken out: itself.

    Example:
        >>> copied({}, {}, torch.tensor([[1.0, 2.0]]).T)
        tensor([[1.],
                [2.]])
    """
    return x.contiguous()


def pad(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """An image in a larger one, the rest of which holds one value.

    Args:
        settings: ``pads``, pixels above, below, left and right; ``value``.
        tensors: none.
        x: ``[batch, channels, height, width]``.

    Example:
        >>> pad({"pads": (0, 0, 1, 0), "value": 5.0}, {}, torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[5., 1., 2.]]]])
    """
    above, below, left, right = settings["pads"]
    return F.pad(x, (left, right, above, below), value=settings["value"])


def phases(settings: dict[str, Any], tensors: dict[str, Tensor], x: Tensor) -> Tensor:
    """``y[c·P + p, i, j] = x[c, i·s + a, j·t + b]`` for each beginning ``(a, b)`` of the ``P`` that are wanted.

    Args:
        settings: ``stride`` (s, t); ``phases``, the beginnings; ``fill``, what is there where x ends.
        tensors: none.
        x: ``[batch, channels, height, width]``.

    Example:
        >>> how = {"stride": (1, 2), "phases": [(0, 0), (0, 1)], "fill": 0.0}
        >>> phases(how, {}, torch.tensor([[[[1.0, 2.0, 3.0]]]]))
        tensor([[[[1., 3.]],
        <BLANKLINE>
                 [[2., 0.]]]])
    """
    (s, t), wanted = settings["stride"], settings["phases"]
    batch, channels, height, width = x.shape
    y = torch.full((batch, channels, len(wanted), -(-height // s), -(-width // t)), settings["fill"], dtype=x.dtype)
    for p, (a, b) in enumerate(wanted):
        part = x[:, :, a::s, b::t]
        y[:, :, p, : part.shape[2], : part.shape[3]] = part
    return y.flatten(1, 2)
