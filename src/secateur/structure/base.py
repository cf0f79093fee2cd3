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
        grouped = self.groups(scores)
        pooled = grouped.amax(-1) if self.reduce == "max" else getattr(grouped, self.reduce)(-1)
        return pooled if mask is None else pooled.masked_fill(~self.groups(mask).any(-1), -math.inf)
