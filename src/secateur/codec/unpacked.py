"""A tensor between the file and the model: read and checked, and not yet as large as it is dense."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .positions import put

__all__ = ["Unpacked"]


@dataclass(frozen=True)
class Unpacked:
    """What a payload holds, found right: from here on nothing can fail.

    Attributes:
        places: where the entries are; ``slice(None)`` for entries that are the whole tensor.
        entries: bit patterns, unsigned whole numbers, or bytes; a single one stands for all.
        bytes: memory that it takes.

    Example:
        >>> found = Unpacked(np.array([1, 2]), np.array([7, 8], dtype=np.uint8), 18)
        >>> found.tensor(torch.uint8, (2, 2))
        tensor([[0, 7],
                [8, 0]], dtype=torch.uint8)
    """

    places: Any
    entries: Any
    bytes: int

    def fill(self, tensor: Tensor) -> None:
        """Give a contiguous tensor on the CPU, of the type and size that were declared, these values."""
        if not tensor.numel():
            return
        flat = tensor.reshape(-1).view(torch.uint8).numpy().view(self.entries.dtype)
        if not isinstance(self.places, slice):
            flat[:] = 0
        put(flat, self.places, self.entries)

    def tensor(self, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """A tensor with these values; it may be their own memory."""
        if not prod(shape):
            return torch.empty(shape, dtype=dtype)
        n = prod(shape) * dtype.itemsize // self.entries.itemsize
        flat = self.entries
        if not isinstance(self.places, slice) or len(flat) != n or not flat.flags.writeable:
            flat = np.zeros(n, dtype=self.entries.dtype)
            put(flat, self.places, self.entries)
        return torch.from_numpy(flat.view(np.uint8)).view(dtype).reshape(shape)
