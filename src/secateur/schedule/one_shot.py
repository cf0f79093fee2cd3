"""All at once."""

from __future__ import annotations

import dataclasses as dc
from typing import ClassVar

from typing_extensions import Self

from ..core.component import component, param
from .base import Schedule

__all__ = ["OneShot"]


@component
class OneShot(Schedule):
    """Prune once, to the final sparsity; with ``iterations`` n in n passes, without training between them.

    The scores are taken anew at each pass, from what the passes before have left, and the density falls by the same factor
    in each: ρ_k = ρ^(k/n).

    Args:
        sparsity: fraction removed.
        iterations: n.
        at_training_step: in a loop that calls ``pruner.step()``, the number of optimizer steps after which to prune.

    Example:
        >>> OneShot(sparsity=0.9).at_round(1), OneShot(sparsity=0.9).at_round(2)
        (0.9, None)
        >>> [round(s, 4) for s in OneShot(sparsity=0.9, iterations=2).passes(0.0, 0.9)]
        [0.6838, 0.9]

    Source:
        the iterations are those of Tanaka et al., *Pruning neural networks without any data by iteratively conserving
        synaptic flow*, 2020, arXiv:2006.05467.
    """

    counts: ClassVar[frozenset[str]] = frozenset({"steps", "rounds"})
    sparsity: float = param(default=0.5, ge=0, lt=1)
    iterations: int = param(default=1, ge=1)
    at_training_step: int = param(default=0, ge=0)

    @property
    def final(self) -> float:
        """The sparsity itself."""
        return self.sparsity

    @property
    def last_step(self) -> int:
        """The step it waits for."""
        return self.at_training_step

    def at(self, sparsity: float) -> Self:
        """One shot to another sparsity."""
        return dc.replace(self, sparsity=sparsity)

    def passes(self, now: float, sparsity: float) -> tuple[float, ...]:
        """1 − ρ_k, from the density there is to the one wanted."""
        if not now < sparsity < 1:
            return (sparsity,)
        factor = (1 - sparsity) / (1 - now)
        return (*(1 - (1 - now) * factor ** (k / self.iterations) for k in range(1, self.iterations)), sparsity)

    def at_step(self, t: int) -> float | None:
        """The sparsity at its step."""
        return self.sparsity if t == self.at_training_step else None

    def at_round(self, r: int) -> float | None:
        """The sparsity in round 1."""
        return self.sparsity if r == 1 else None
