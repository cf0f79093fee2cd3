"""Gates that are drawn, and learn to be shut."""

from __future__ import annotations

import hashlib
import math
from typing import ClassVar

import torch
from torch import Tensor

from ..core.component import component, param
from ..core.statistics import Statistics
from .learned import Learned, Part, kept

__all__ = ["HardConcrete"]

_BETA, _GAMMA, _ZETA = 2 / 3, -0.1, 1.1
_SHIFT = _BETA * math.log(-_GAMMA / _ZETA)
_EDGE, _RANGE = 1e-6, math.log(1e2)


@component
class HardConcrete(Learned):
    """A unit matters as much as its gate stays open, when the expected number of parameters behind open gates is penalised.

    The gate of a unit multiplies the weights that read it (a weight of its own, for ``Weights``); it is drawn once a step:
    s = sigmoid((log u − log(1−u) + log α)/β), z = min(1, max(0, s(ζ−γ) + γ)), with β = 2/3, γ = −0.1, ζ = 1.1. Learned is
    log α, and 1/N · Σ P(z≠0)·(λ|g| + ½λ₂‖θ_g‖²) is added to the mean loss, with P(z≠0) = sigmoid(log α − β log(−γ/ζ)) and
    |g| the parameters that go with the unit. In evaluation mode the gate is ẑ = min(1, max(0, sigmoid(log α)(ζ−γ) + γ)).
    The score is ẑ before it is cut to [0, 1]: ``Threshold(at=0)`` removes what is exactly 0. What is kept has ẑ folded
    into its weights, so that the network computes the same.

    Gates may agree with a batch norm's statistics in training and not with ẑ: recalibrate (``Finetune(recalibrate=...)``).

    Args:
        examples: N, examples in the training set.
        penalty: λ, per parameter (published: 0.1 for MNIST, 1e-3 for CIFAR).
        l2: λ₂.
        drop: share of the gates that are shut at the start, in expectation.
        learning_rate: of log α; None for that of the weights.

    Example:
        >>> gates = HardConcrete(examples=60_000)
        >>> gates.presence(torch.tensor([-1.0, 0.0, 2.0]))
        tensor([0.6453, 0.8318, 0.9734])
        >>> gates(torch.zeros(3), Statistics(name="w", learned=torch.tensor([-3.0, 0.0, 3.0])))
        tensor([-0.0431,  0.5000,  1.0431])

    Source:
        Louizos, Welling & Kingma, *Learning Sparse Neural Networks through L0 Regularization*, 2018, arXiv:1712.01312.
    """

    of_units: ClassVar[bool] = True

    examples: int = param(ge=1)
    penalty: float = param(default=0.1, ge=0)
    l2: float = param(default=0.0, ge=0)
    drop: float = param(default=0.5, gt=0, lt=1)

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """ẑ before it is cut."""
        return _stretched(torch.sigmoid(self.of(statistics)))

    def first(self, shape: tuple[int, ...], name: str) -> Tensor:
        """Log α ~ N(log(1 − p) − log p, 0.01²), p the share that is shut."""
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
        normal = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return normal * 0.01 + math.log(1 - self.drop) - math.log(self.drop)

    def presence(self, log_alpha: Tensor) -> Tensor:
        """P(z ≠ 0)."""
        return torch.sigmoid(log_alpha - _SHIFT)

    def noise(self, learned: Tensor) -> Tensor:
        """U ~ U(0, 1)."""
        return torch.rand_like(learned).clamp_(_EDGE, 1 - _EDGE)

    def gate(self, part: Part) -> Tensor:
        """Z in training, else ẑ."""
        logits = part.learned if part.noise is None else (torch.logit(part.noise) + part.learned) / _BETA
        gate = kept(_stretched(torch.sigmoid(logits)).clamp(0, 1), part)
        assert gate is not None
        return gate

    def cost(self, part: Part) -> Tensor | None:
        """1/N · Σ P(z≠0)·(λ|g| + ½λ₂‖θ_g‖²)."""
        presence = self.presence(part.learned)
        cost = self.penalty * (presence * part.size).sum() if self.penalty else None
        if self.l2 and part.squares is not None:
            decay = 0.5 * self.l2 * part.squares(presence)
            cost = decay if cost is None else cost + decay
        return None if cost is None else cost / self.examples

    def clamp_(self, learned: Tensor) -> None:
        """Log 1e-2 ≤ log α ≤ log 1e2."""
        learned.clamp_(-_RANGE, _RANGE)

    def fold(self, part: Part) -> Tensor:
        """ẑ."""
        return self.gate(part)


def _stretched(s: Tensor) -> Tensor:
    return s * (_ZETA - _GAMMA) + _GAMMA
