"""Weights that training moves away from zero."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from ..core.component import Component, component, param
from ..core.statistics import Statistics
from .learned import Learned, Part, kept, ramped

__all__ = ["Movement", "SoftMovement"]


@component
class Movement(Learned):
    """A unit matters as much as training moves its weights away from 0: S = −η Σ_t ⟨∂L/∂W′, W⟩ over the steps so far.

    A layer computes with W′ = W ⊙ M(S), where M keeps what the schedule's last event kept, and S learns through the mask
    as if it were not there: ∂L/∂S = ∂L/∂W′ ⊙ W, of all weights. Masks are not nested: what is shut may come back until
    the schedule's last event. For fine-tuning: weights must have somewhere to move to.

    Args:
        learning_rate: of S; None for that of the weights.

    Example:
        >>> Movement()(torch.ones(2), Statistics(name="w", learned=torch.tensor([-1.0, 0.5])))
        tensor([-1.0000,  0.5000])

    Source:
        Sanh, Wolf & Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, 2020, arXiv:2005.07683.
    """

    of_units: ClassVar[bool] = True

    learning_rate: float | None = param(default=1e-2, gt=0)

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """S."""
        return self.of(statistics).clone()

    def first(self, shape: tuple[int, ...], name: str) -> Tensor:
        """0."""
        return torch.zeros(shape)

    def gate(self, part: Part) -> Tensor | None:
        """M, through which the gradient passes straight to S."""
        if not part.training:
            return kept(None, part)
        through = part.learned - part.learned.detach()  # 0, with the gradient of S
        return 1 + through if part.keep is None else part.keep.to(part.learned.dtype) + through


@component
class SoftMovement(Movement):
    """As ``Movement``, with M = 1[sigmoid(S) > τ_t] at every step, and λ_t · mean sigmoid(S) added to the loss.

    The score is sigmoid(S), so that ``Threshold(at=τ)`` removes in the end what is shut. τ_t and λ_t rise from 0 as
    1 − (1 − x)³, with x the part of the ramp that is over: how much goes is up to λ, and each layer's own.

    Args:
        penalty: λ at the end of the ramp.
        threshold: τ there.
        begin: optimizer steps before the ramp.
        ramp: its steps.
        learning_rate: of S; None for that of the weights.

    Example:
        >>> soft = SoftMovement(ramp=100)
        >>> [round(soft.threshold_at(t), 4) for t in (0, 50, 100)]
        [0.0, 0.0875, 0.1]

    Source:
        Sanh, Wolf & Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, 2020, arXiv:2005.07683, §4.
    """

    penalty: float = param(default=10.0, ge=0)
    threshold: float = param(default=0.1, gt=0, lt=1)
    begin: int = param(default=0, ge=0)
    ramp: int = param(default=0, ge=0)

    def conflict(self, other: Component) -> str | None:
        """Its threshold has a ramp of its own."""
        if other.axis == "schedule" and "rounds" not in other.counts:  # type: ignore[attr-defined]
            return "its own threshold rises while it learns, so there is no sparsity to ramp up"
        return super().conflict(other)

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """sigmoid(S)."""
        return torch.sigmoid(self.of(statistics))

    def cost(self, part: Part) -> Tensor | None:
        """λ_t · mean sigmoid(S) over all S of the model."""
        strength = self.penalty * part.share * self._along(part.t)
        return strength * torch.sigmoid(part.learned).mean() if strength else None

    def threshold_at(self, t: int) -> float | None:
        """τ_t."""
        return self.threshold * self._along(t)

    def _along(self, t: int) -> float:
        return 1 - math.pow(1 - ramped(t, self.begin, self.ramp), 3)
