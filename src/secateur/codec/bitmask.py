"""A sparse tensor as one bit an entry and the entries that are not zero, without loss.

The entries are handled as bit patterns, so NaN payloads, infinities and subnormals survive exactly, whatever the
processor's rounding flags. The one change is deliberate: −0.0 counts as zero and comes back as +0.0. The two are equal
and a multiplied mask leaves half of its zeros negative; storing those would undo the saving.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

__all__ = ["SUPPORTED", "count", "kept", "pack", "pack_bits", "unpack", "unpack_bits"]

_INTEGER = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SUPPORTED = (*_FLOATS, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def _bits(tensor: Tensor) -> Tensor:
    """A flat view of the bit patterns as integers."""
    return tensor.detach().contiguous().view(-1).view(_INTEGER[tensor.element_size()])


def kept(tensor: Tensor) -> Tensor:
    """Which entries are not zero, flat and boolean; −0.0 is zero, NaN is not.

    Example:
        >>> kept(torch.tensor([0.0, -0.0, 1.0, float("nan")]))
        tensor([False, False,  True,  True])
    """
    bits = _bits(tensor)
    if tensor.dtype in _FLOATS:
        return (bits & torch.iinfo(bits.dtype).max) != 0
    return bits != 0


def count(tensor: Tensor) -> int:
    """How many entries are not zero, for tensors of any type.

    Example:
        >>> count(torch.tensor([0, 3])), count(torch.tensor([0j, 1j]))
        (1, 1)
    """
    if tensor.dtype in SUPPORTED:
        return int(torch.count_nonzero(kept(tensor)))
    return int(torch.count_nonzero(tensor if tensor.dtype.is_complex else tensor.double()))


def pack_bits(mask: Tensor) -> Tensor:
    """A flat boolean mask of n entries as ⌈n/8⌉ bytes, the first entry in the lowest bit.

    Example:
        >>> pack_bits(torch.tensor([True, False, True]))
        tensor([5], dtype=torch.uint8)
    """
    return torch.from_numpy(np.packbits(mask.numpy(), bitorder="little"))


def unpack_bits(packed: Tensor, n: int) -> Tensor:
    """The mask of ``n`` entries that ``pack_bits`` packed.

    Raises:
        ValueError: the number of bytes is not that of ``n`` bits, or a bit beyond them is set.

    Example:
        >>> unpack_bits(torch.tensor([5], dtype=torch.uint8), 3)
        tensor([ True, False,  True])
    """
    if packed.dtype != torch.uint8 or packed.shape != ((n + 7) // 8,):
        raise ValueError(f"a bitmask of {n} entries has {(n + 7) // 8} bytes; got {packed.numel()} of {packed.dtype}")
    if n % 8 and int(packed[-1]) >> (n % 8):
        raise ValueError("a bit is set beyond the last entry of the bitmask")
    return torch.from_numpy(np.unpackbits(packed.numpy(), count=n, bitorder="little").view(np.bool_))


def pack(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Bits and non-zero entries, in row-major order, of a CPU tensor of a ``SUPPORTED`` type.

    Args:
        tensor: any shape, n entries of which k are not zero.

    Returns:
        ``bits``, ⌈n/8⌉ bytes, and ``values``, k entries of the tensor's type.

    Example:
        >>> bits, values = pack(torch.tensor([[0.0, 2.0], [0.0, 3.0]]))
        >>> bits.tolist(), values.tolist()
        ([10], [2.0, 3.0])
    """
    mask = kept(tensor)
    return pack_bits(mask), _bits(tensor)[mask].view(tensor.dtype)


def unpack(bits: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor that ``pack`` packed.

    Raises:
        ValueError: bits, values and shape do not belong together.

    Example:
        >>> unpack(*pack(torch.eye(3)), (3, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])
    """
    mask = unpack_bits(bits, prod(shape))
    k = int(torch.count_nonzero(mask))
    if values.shape != (k,):
        raise ValueError(f"the bitmask keeps {k} entries; got {values.numel()}")
    flat = torch.zeros(mask.numel(), dtype=values.dtype)
    flat.view(_INTEGER[values.element_size()])[mask] = _bits(values)
    return flat.view(shape)
