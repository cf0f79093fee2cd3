"""Weight sharing as a value: which layer gets how many bits, where the shared values begin, and how long they are tuned."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any, get_type_hints

import torch
from torch import Tensor

from ...core.component import build, check_bounds, coerce, param, plain
from ...core.errors import ModelError, RecipeError
from .. import bitmask
from .kmeans import STARTS, centroids, kmeans, nearest

__all__ = ["Share"]

_MOST = 16  # bits; more shared values than that are no sharing


@dc.dataclass(frozen=True, kw_only=True)
class Share:
    """The weights of a layer that are left become 2^b shared values; zeros stay zeros and are none of the values.

    ``kmeans`` takes argmin Σ_k Σ_{w ∈ c_k} (w − c_k)² as Lloyd's iteration finds it; ``uniform`` takes 2^b values equally
    spaced over [min, max]; ``grid`` takes multiples of a step, no more than 2^b besides zero, rounds the weights in turn with
    those not yet rounded making up for it, and by training data makes steps as coarse as ``rate`` bits a weight allow, finer
    where the loss feels it more: what falls to zero is pruned. A layer shares with no other layer. A layer with no more than
    2^b different values is as it was, but on a grid.

    Args:
        conv: bits of convolutions, tensors of three or more dimensions; None leaves them.
        linear: bits of matrices; None leaves them.
        vectors: bits of biases, normalisations and other vectors; None leaves them.
        layers: name pattern → bits, before all of these; the first match counts, and 0 leaves a tensor.
        values: ``kmeans``, ``uniform`` or ``grid``.
        rate: bits a weight of a grid, positions included, that an ideal coder needs on average at most; with ``grid`` alone.
        damping: of a grid's rounding: what is added to the diagonal of the inputs' moment, relative to its mean; more keeps
            the weights nearer to those before.
        start: where k-means begins: ``linear``, ``density`` or ``random``.
        seed: of the random start.
        epochs: of tuning the shared values, in the ready-made training.
        learning_rate: its peak rate; None for a thousandth of the training's. A value's gradient is the sum over its
            weights, so the rate is small.
        recalibrate: training examples that batch norms take new statistics over, before the tuning; 0 leaves them.

    Raises:
        RecipeError: a parameter of wrong type or out of range; a grid without a rate, or a rate without a grid.

    Example:
        >>> share = Share(linear=1)
        >>> share.quantise("fc.weight", torch.tensor([[0.0, 1.0, 2.0, 9.0]])).tolist()
        [[0.0, 1.5, 1.5, 9.0]]
        >>> Share(conv=8, layers={"fc3*": 4}).bits("conv1.weight", torch.zeros(20, 1, 5, 5))
        8

    Source: S. Han, H. Mao, W. Dally, "Deep Compression", 2016 (arXiv:1510.00149), section 3; the grid: Frantar et al.,
    *GPTQ*, 2023, arXiv:2210.17323, and Conzelmann & Bamler, *Reducing Storage of Pretrained Neural Networks by
    Rate-Constrained Quantization and Entropy Coding*, 2025, arXiv:2505.18758.
    """

    conv: int | None = param(default=8, ge=1, le=_MOST)
    linear: int | None = param(default=5, ge=1, le=_MOST)
    vectors: int | None = param(default=None, ge=1, le=_MOST)
    layers: tuple[tuple[str, int], ...] = param(default=(), ge=0, le=_MOST)
    values: str = param(default="kmeans", among=("kmeans", "uniform", "grid"))
    rate: float | None = param(default=None, gt=0, le=_MOST)
    damping: float = param(default=0.1, ge=0)
    start: str = param(default="linear", among=STARTS)
    seed: int = param(default=0, ge=0)
    epochs: float = param(default=1.0, ge=0)
    learning_rate: float | None = param(default=None, gt=0)
    recalibrate: int = param(default=0, ge=0)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in dc.fields(self):
            value = coerce(getattr(self, f.name), hints[f.name], f"share: {f.name}")
            check_bounds(value, f.metadata, f"share: {f.name}")
            object.__setattr__(self, f.name, value)
        if (self.rate is None) == (self.values == "grid"):
            raise RecipeError(
                f"share: values 'grid' and a rate go together; got values={self.values!r}, rate={self.rate}; e.g. "
                "Share(values='grid', rate=2.0)"
            )
        first = dict(reversed(self.layers))  # of two equal patterns the first counts, and a file has one
        object.__setattr__(self, "layers", tuple((n, first[n]) for n in dict.fromkeys(n for n, _ in self.layers)))

    def bits(self, name: str, tensor: Tensor) -> int:
        """Bits of a tensor; 0 where it is left as it is."""
        if not tensor.is_floating_point():
            return 0
        for pattern, bits in self.layers:
            if fnmatch(name, pattern):
                return bits
        return (self.vectors if tensor.ndim < 2 else self.linear if tensor.ndim == 2 else self.conv) or 0

    def codebook(self, name: str, tensor: Tensor) -> Tensor | None:
        """The shared values of a tensor, ascending, in double precision; None where it is left as it is.

        Raises:
            ModelError: the tensor has an entry that is no finite number; a grid, which is no matter of one tensor alone.
        """
        if self.values == "grid":
            raise ModelError("values 'grid' rounds all layers by training data; share by Sharer(model, share, data=batches)")
        bits = self.bits(name, tensor)
        left = _survivors(tensor) if bits else tensor
        if bits and not bool(torch.isfinite(left).all()):
            raise ModelError(f"{name!r} holds NaN or infinity, which belongs to no shared value; mend it, or give it 0 bits")
        if not bits or not left.numel() or not _exceeds(left, 2**bits):
            return None
        if self.values == "uniform":
            return centroids(left, 2**bits)
        return kmeans(left, centroids(left, 2**bits, self.start, self.seed))

    @torch.no_grad()
    def quantise(self, name: str, tensor: Tensor) -> Tensor:
        """A new tensor of shared values, of the same type, shape and device; zeros stay where they are.

        Args:
            name: of the parameter or buffer.
            tensor: what is there now.
        """
        codebook = self.codebook(name, tensor)
        if codebook is None:
            return tensor.detach().clone()
        shared = codebook.to(tensor.device)[nearest(tensor, codebook).long()].to(tensor.dtype)
        return torch.where(tensor == 0, torch.zeros_like(shared), shared)

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field, or (``minimal``) only those that differ from their default."""
        found = {f.name: getattr(self, f.name) for f in dc.fields(self)}
        return {f.name: plain(found[f.name]) for f in dc.fields(self) if not (minimal and found[f.name] == f.default)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Share:
        """The sharing a mapping describes; what it leaves out takes its default.

        Raises:
            RecipeError: unknown parameter, wrong type or range.
        """
        made: Share = build(cls, fields, "share")
        return made


def _survivors(tensor: Tensor) -> Tensor:
    held = tensor.detach().cpu().contiguous()
    return held.view(-1)[bitmask.kept(held)]


def _exceeds(values: Tensor, k: int) -> bool:
    """Whether there are more than k different values; a few of many mostly say so."""
    some, everything = values[: 4 * k], values
    return any(int(torch.unique(v).numel()) > k for v in (some, everything))
