"""The first axis: what is removed."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ..core.component import Component, component, param
from ..core.layers import Target

__all__ = ["Grouped", "Structure"]


class Structure(Component, axis="structure"):
    """What one unit of removal is: how weights pool into units, and how a choice of units spreads back over the weights.

    Weights come with the output dimension first: ``[out, in]`` or ``[out, in, k, …]``.
    """

    followers: ClassVar[bool] = False
    """Whether a unit takes its bias and batch-norm entries along."""

    alone: ClassVar[bool] = True
    """Whether a unit is one also within its own layer, without example inputs."""

    @property
    def couples(self) -> bool:
        """Whether units reach over several layers, once example inputs tell which."""
        return False

    @property
    def max_sparsity(self) -> float:
        """The largest fraction this structure can remove from a layer."""
        return 1.0

    def misfit(self, target: Target) -> str | None:
        """Why this structure cannot prune a target (which then stays dense), or None when it can."""
        return None

    @abstractmethod
    def units(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """Pool the scores of weights into scores of units: −inf for units gone already, +inf for units that must stay.

        Args:
            scores: one a weight, output dimension first.
            mask: what is left of the weights (None: everything), same shape.
        """

    @abstractmethod
    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The weights' mask for a choice of units.

        Args:
            keep: one boolean a unit, as ``units`` shaped them.
            shape: the weights' shape.
        """

    def count(self, shape: tuple[int, ...]) -> int:
        """How many units a weight of this shape has."""
        return self.units(torch.empty(shape, device="meta"), None).numel()


@component
class Grouped(Structure, axis="structure"):
    """Base of the structures whose unit is a fixed group of weights, scored by the mean (or sum, or max) of its weights."""

    reduce: str = param(default="mean", among=("mean", "sum", "max"))

    @abstractmethod
    def groups(self, values: Tensor) -> Tensor:
        """View the weights as ``[*units, weights of a unit]``."""

    def units(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """One score a group; groups with no weight left get −inf."""
        pooled = pool(self.groups(scores), self.reduce)
        return pooled if mask is None else pooled.masked_fill(~self.groups(mask).any(-1), -math.inf)


def pool(scores: Tensor, reduce: str, there: Tensor | None = None) -> Tensor:
    """One number a unit from the scores of its weights.

    Args:
        scores: ``[*units, weights of a unit]``.
        reduce: ``mean``, ``sum``, ``max``, ``l2`` (the root of the sum of squares) or ``abs_sum`` (of scores with signs).
        there: for units of unequal size, False where a score only fills up.

    Example:
        >>> pool(torch.tensor([[3.0, -4.0]]), "l2"), pool(torch.tensor([[3.0, -4.0]]), "abs_sum")
        (tensor([5.]), tensor([1.]))
    """
    if reduce == "max":
        return (scores if there is None else scores.masked_fill(~there, -math.inf)).amax(-1)
    if there is not None:
        scores = scores.masked_fill(~there, 0)
    if reduce == "l2":
        length: Tensor = torch.linalg.vector_norm(scores, 2, -1)
        return length
    if reduce == "mean":
        return scores.mean(-1) if there is None else scores.sum(-1) / there.sum(-1)
    return scores.sum(-1).abs() if reduce == "abs_sum" else scores.sum(-1)
