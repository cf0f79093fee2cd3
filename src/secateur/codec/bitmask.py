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

from .positions import Packed, count_places, put

__all__ = ["SUPPORTED", "count", "kept", "pack", "pack_bits", "places", "unpack"]

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


def places(bits: Tensor, values: Tensor, n: int) -> Packed:
    """Where the values of a bitmask of n entries are.

    Raises:
        ValueError: the number of bytes is not that of ``n`` bits, a bit beyond them is set, or as many values are not there.

    Example:
        >>> count_places(places(torch.tensor([5], dtype=torch.uint8), torch.ones(2), 3))
        2
    """
    if bits.dtype != torch.uint8 or bits.shape != ((n + 7) // 8,):
        raise ValueError(f"a bitmask of {n} entries has {(n + 7) // 8} bytes; got {bits.numel()} of {bits.dtype}")
    if n % 8 and int(bits[-1]) >> (n % 8):
        raise ValueError("a bit is set beyond the last entry of the bitmask")
    found = Packed(bits.numpy(), n)
    k = count_places(found)
    if values.shape != (k,):
        raise ValueError(f"the bitmask keeps {k} entries; got {values.numel()}")
    return found


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
    where = places(bits, values, prod(shape))
    flat = torch.zeros(prod(shape), dtype=values.dtype)
    put(flat.view(_INTEGER[values.element_size()]).numpy(), where, _bits(values).numpy())
    return flat.view(shape)
