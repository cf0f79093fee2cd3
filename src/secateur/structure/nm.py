"""N:M semi-structured sparsity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..core.component import component, param
from ..core.errors import RecipeError
from ..core.layers import Target
from .base import Structure

__all__ = ["NM"]


@component
class NM(Structure):
    """At most n weights stay in every m consecutive inputs of an output: 2:4, 1:4, 4:8, …

    The n best of each group are safe, the others are the units an allocation chooses from: at sparsity 1 − n/m all of
    these go and the pattern is complete; below that a gradual schedule is on its way there. Groups lie along the input
    dimension (channels, for a convolution). A layer whose inputs are no multiple of m stays dense.

    Args:
        n: weights that stay in a group.
        m: weights in a group.

    Example:
        >>> import torch
        >>> NM(n=2, m=4).units(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), None)
        tensor([[1., inf, inf, 2.]])

    Source:
        Mishra et al., *Accelerating Sparse Deep Neural Networks*, 2021, arXiv:2104.08378.
    """

    n: int = param(default=2, ge=1)
    m: int = param(default=4, ge=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n >= self.m:
            raise RecipeError(f"structure 'nm': n must be < m; got n={self.n}, m={self.m}; e.g. NM(n=2, m=4)")

    @property
    def max_sparsity(self) -> float:
        """1 − n/m."""
        return 1 - self.n / self.m

    def misfit(self, target: Target) -> str | None:
        """The group must divide the inputs."""
        inputs = target.shape[1]
        return f"its {inputs} inputs are no multiple of {self.m}" if inputs % self.m else None

    def units(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """The weights' scores, +inf for the n best of each group."""
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf)
        groups = torch.unflatten(scores.movedim(1, -1), -1, (-1, self.m))
        best = groups.sort(dim=-1, descending=True, stable=True).indices[..., : self.n]  # the first of equals is safe
        safe = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True) & (groups > -math.inf)
        return groups.masked_fill(safe, math.inf).flatten(-2).movedim(-1, 1)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The choice itself."""
        return keep
