"""Gradual pruning along a polynomial ramp."""

from __future__ import annotations

import dataclasses as dc
from typing import ClassVar

from typing_extensions import Self

from ..core.component import component, param
from ..core.errors import RecipeError
from .base import Schedule

__all__ = ["Cubic", "Polynomial"]


@component
class Polynomial(Schedule):
    """Prune while training, fast at first: s_t = s_f + (s_i − s_f)·(1 − (t − t₀)/(nΔt))^power at t₀, t₀ + Δt, …, t₀ + nΔt.

    Args:
        sparsity: s_f, fraction removed at the end.
        initial: s_i, fraction removed at the first event.
        begin: t₀, optimizer steps before the first event.
        end: t₀ + nΔt, optimizer steps at the last event; leave steps to train on after it.
        every: Δt, optimizer steps between events; it divides end − begin.
        power: the exponent.

    Example:
        >>> ramp = Polynomial(sparsity=0.9, begin=0, end=100, every=50, power=1)
        >>> [ramp.at_step(t) for t in (0, 25, 50, 100, 150)]
        [0.0, None, 0.45, 0.9, None]

    Source:
        Zhu & Gupta, *To prune, or not to prune*, 2017, arXiv:1710.01878.
    """

    counts: ClassVar[frozenset[str]] = frozenset({"steps"})
    sparsity: float = param(default=0.9, ge=0, lt=1)
    initial: float = param(default=0.0, ge=0, lt=1)
    begin: int = param(default=0, ge=0)
    end: int = param(default=1000, ge=1)
    every: int = param(default=100, ge=1)
    power: float = param(default=3.0, gt=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        span = self.end - self.begin
        if span <= 0:
            raise RecipeError(f"schedule {self.name!r} needs end > begin; got begin={self.begin}, end={self.end}")
        if span % self.every:
            fits = self.begin + max(1, round(span / self.every)) * self.every
            raise RecipeError(
                f"schedule {self.name!r} needs end − begin to be a multiple of every; got begin={self.begin}, "
                f"end={self.end}, every={self.every}; the nearest end that fits is {fits}"
            )
        if self.initial > self.sparsity:
            raise RecipeError(
                f"schedule {self.name!r} needs initial ≤ sparsity; got initial={self.initial:g}, sparsity={self.sparsity:g}"
            )

    @property
    def final(self) -> float:
        """s_f."""
        return self.sparsity

    @property
    def last_step(self) -> int:
        """t₀ + nΔt."""
        return self.end

    def at(self, sparsity: float) -> Self:
        """The same ramp to another sparsity."""
        return dc.replace(self, sparsity=sparsity, initial=min(self.initial, sparsity))

    def at_step(self, t: int) -> float | None:
        """s_t at the events."""
        if not self.begin <= t <= self.end or (t - self.begin) % self.every:
            return None
        left = 1 - (t - self.begin) / (self.end - self.begin)
        return float(self.sparsity + (self.initial - self.sparsity) * left**self.power)


@component
class Cubic(Polynomial):
    """The polynomial ramp of power 3, automated gradual pruning as published.

    Args:
        sparsity: s_f, fraction removed at the end.
        initial: s_i, fraction removed at the first event.
        begin: t₀, optimizer steps before the first event.
        end: t₀ + nΔt, optimizer steps at the last event.
        every: Δt, optimizer steps between events.
        power: 3, and nothing else; another exponent is a ``Polynomial``.

    Example:
        >>> ramp = Cubic(sparsity=0.9, begin=0, end=10, every=1)
        >>> [round(ramp.at_step(t), 4) for t in (0, 1, 2, 9, 10)]
        [0.0, 0.2439, 0.4392, 0.8991, 0.9]

    Source:
        Zhu & Gupta, *To prune, or not to prune*, 2017, arXiv:1710.01878.
    """

    power: float = param(default=3.0, among=(3.0,))
