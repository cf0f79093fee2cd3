"""Thresholds proportional to each layer's standard deviation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from torch import Tensor

from ..core.component import Component, component, param
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest
from .base import Allocation

__all__ = ["StdThreshold"]


@component
class StdThreshold(Allocation):
    """A weight stays if it exceeds its layer's threshold: |w| > τ_l = q_l · std(W_l).

    With ``quality`` given the threshold is taken literally and the schedule only says when: the number of survivors
    follows from the weights. Without it, the one quality q that reaches the
    schedule's sparsity is solved for, and counts are exact.

    Args:
        quality: q for every layer; None solves for it.
        layers: name pattern → that layer's own q, the first match counts.
        of: std over the ``survivors`` of earlier events, or over ``all`` entries, zeros included.

    Example:
        >>> StdThreshold(quality=1.0, layers={"fc3*": 0.5}).fixed
        True

    Source:
        Han et al., *Learning both Weights and Connections for Efficient Neural Networks*, 2015, arXiv:1506.02626, §3.
        The paper leaves open whether std is of the survivors; survivors is our default.
    """

    quality: float | None = param(default=None, gt=0)
    layers: tuple[tuple[str, float], ...] = param(default=(), gt=0)
    of: str = param(default="survivors", among=("survivors", "all"))

    @property
    def fixed(self) -> bool:
        """Whether q is given."""
        return self.quality is not None

    def conflict(self, other: Component) -> str | None:
        """It compares single weights by their magnitude; a ramp has nothing to say about a fixed threshold."""
        if other.axis == "structure" and other.name != "weights":
            return "it compares single weights with a threshold"
        if other.axis == "score" and (other.name, getattr(other, "p", None)) != ("magnitude", 1.0):
            return "its threshold is in units of |w|"
        if other.axis == "schedule" and self.fixed and "rounds" not in other.counts:  # type: ignore[attr-defined]
            return "its quality fixes the threshold, so there is no sparsity to ramp up"
        return None

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Compare with the thresholds, or rank |w| / (q_l · std_l) over all layers."""
        if self.quality is not None:
            return {x.name: x.score() > self._quality(x.name, self.quality) * self._std(x) for x in layers}
        scale = {x.name: self._quality(x.name, 1.0) * max(self._std(x), 1e-30) for x in layers}
        total = sum(x.units for x in layers)
        keep = keep_largest([_scaled(x, scale[x.name]) for x in layers], total - count_removed(sparsity, total))
        return {x.name: k for x, k in zip(layers, keep, strict=True)}

    def _quality(self, name: str, otherwise: float) -> float:
        return next((q for pattern, q in self.layers if fnmatch(name, pattern)), otherwise)

    def _std(self, x: Layer) -> float:
        weights = x.weight if self.of == "all" or x.mask is None else x.weight[x.mask]
        return float(weights.float().std(correction=0)) if weights.numel() else 0.0


def _scaled(x: Layer, by: float) -> Callable[[], Tensor]:
    return lambda: x.score() / by
