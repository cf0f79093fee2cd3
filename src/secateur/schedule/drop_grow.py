"""Dynamic sparse training: sparse from the start, with other weights as training goes on."""

from __future__ import annotations

import dataclasses as dc
import math
from typing import ClassVar

from typing_extensions import Self

from ..core.component import Component, component, param
from ..core.errors import RecipeError
from .base import Schedule

__all__ = ["DropGrow"]


@component
class DropGrow(Schedule):
    """Prune at t₀ by lot, then exchange a share f_t of each layer's units every Δt steps: the least go, as many others come.

    The allocation says how many units each layer has, and that number never changes: only which ones they are does, so
    that the masks are *not* nested. f_t = α/2·(1 + cos(π(t − t₀)/(T − t₀))) at t₀ + Δt, t₀ + 2Δt, … before T, or f_t = α.
    Those with the smallest score go; of all others, the ones just dropped included, those with the largest gradient come
    (RigL), or any (SET). What is dropped and chosen again keeps its value.

    For t₀ = 0, ``pruner.prune()`` before the first step makes the network sparse from the start; else it is after that step.
    The gradient is ``.grad`` as ``loss.backward()`` left it, or that of ``Pruner(data=...)`` where there is none.

    Args:
        sparsity: fraction removed, from t₀ on.
        begin: t₀, optimizer steps before the network becomes sparse.
        end: T, optimizer steps after which nothing is exchanged any more: three quarters of the training, for RigL.
        every: Δt, optimizer steps between exchanges.
        fraction: α, the share of a layer's units in the first exchanges.
        decay: f_t after the ``cosine``, or ``constant``.
        grow: what comes back: the largest ``gradient``, or ``random`` units.
        new_scale: newly grown weights are drawn with this standard deviation, in units of the root mean square of the
            layer's weights; 0 starts them at 0.
        seed: of the lot.

    Example:
        >>> exchange = DropGrow(sparsity=0.9, end=300, every=100)
        >>> [exchange.at_step(t) for t in (0, 50, 100, 300)]
        [0.9, None, 0.9, None]
        >>> [round(exchange.fraction_at(t), 3) for t in (100, 200)]
        [0.225, 0.075]

    Source:
        Mocanu et al., *Scalable training of artificial neural networks with adaptive sparse connectivity*, 2018,
        arXiv:1707.04780 (SET); Evci et al., *Rigging the Lottery*, 2020, arXiv:1911.11134 (RigL).
    """

    counts: ClassVar[frozenset[str]] = frozenset({"steps"})
    sparsity: float = param(default=0.9, ge=0, lt=1)
    begin: int = param(default=0, ge=0)
    end: int = param(default=1000, ge=1)
    every: int = param(default=100, ge=1)
    fraction: float = param(default=0.3, gt=0, le=1)
    decay: str = param(default="cosine", among=("cosine", "constant"))
    grow: str = param(default="gradient", among=("gradient", "random"))
    new_scale: float = param(default=0.0, ge=0)
    seed: int = param(default=0, ge=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begin + self.every >= self.end:
            raise RecipeError(
                f"schedule {self.name!r} needs begin + every < end, so that there is an exchange; got begin={self.begin}, "
                f"every={self.every}, end={self.end}"
            )

    def conflict(self, other: Component) -> str | None:
        """Units are exchanged within a layer, for others that a gradient can speak for."""
        if other.axis == "structure" and (other.couples or not other.alone):  # type: ignore[attr-defined]
            return "it exchanges units within one layer, and these take parameters of others along"
        if other.axis == "structure" and other.max_sparsity < 1:  # type: ignore[attr-defined]
            return "it exchanges any units of a layer, and these are bound to groups"
        if other.axis == "recovery" and getattr(other, "drop_dead", False):
            return "what it drops may come back, and drop_dead removes neurons for good"
        if other.axis == "recovery" and getattr(other, "needs", None):
            return "it draws its first mask by lot, before there is anything to fit the survivors to"
        return None

    @property
    def final(self) -> float:
        """The sparsity itself."""
        return self.sparsity

    @property
    def last_step(self) -> int:
        """The step of the last exchange."""
        return self.begin + (self.end - self.begin - 1) // self.every * self.every

    def at(self, sparsity: float) -> Self:
        """The same exchanges at another sparsity."""
        return dc.replace(self, sparsity=sparsity)

    def at_step(self, t: int) -> float | None:
        """The sparsity, at t₀ and at the exchanges."""
        return self.sparsity if self.begin <= t < self.end and (t - self.begin) % self.every == 0 else None

    def fraction_at(self, t: int) -> float:
        """f_t: the share of a layer's units that an exchange at step t replaces."""
        if self.decay == "constant":
            return self.fraction
        return self.fraction / 2 * (1 + math.cos(math.pi * (t - self.begin) / (self.end - self.begin)))

    def training_cost(self, share: float) -> float:
        """Multiply-adds of the training over those of dense training, were no multiplication by zero done.

        With f_S and f_D those of one example through the sparse and the dense network, a step costs 3 f_S, and one whose
        dense gradient is asked for 2 f_S + f_D: (3 f_S Δt + 2 f_S + f_D) / (Δt + 1) / 3 f_D. Random growth asks for none.

        Args:
            share: f_S / f_D, what ``1 / theoretical speed-up`` of the pruned network is.

        Example:
            >>> round(DropGrow(every=100).training_cost(0.1), 4)
            0.103

        Source:
            Evci et al. 2020, on the multiply-adds of the methods.
        """
        return share if self.grow == "random" else (3 * share * self.every + 2 * share + 1) / (self.every + 1) / 3
