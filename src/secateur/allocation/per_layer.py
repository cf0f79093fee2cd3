"""A sparsity of its own for every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatch

from torch import Tensor

from ..core.component import Component, component, param
from ..core.errors import ModelError
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest
from .base import Allocation

__all__ = ["PerLayer"]


@component
class PerLayer(Allocation):
    """Each layer ends at the sparsity its name pattern gives: what a sensitivity scan, a search or a paper's table says.

    The schedule only says how far along that is. With whole-model density d now and D at the end, a layer of final
    density D_l has density D_l^(ln d / ln D): all layers arrive together, and equal rates per round stay equal rates.
    With ``at`` they have these sparsities when the schedule is there, and go on at the same pace: with ``at`` the rate of a
    round, they are each layer's own rates of a round.

    Args:
        sparsity: name pattern → final fraction removed, the first match counts: ``{"conv*": 0.5, "fc*": 0.9}``.
        other: final fraction removed from layers no pattern names.
        at: the schedule's sparsity at which the layers have theirs; None for its end.

    Example:
        >>> PerLayer(sparsity={"conv*": 0.5, "fc*": 0.9}).to_dict()["sparsity"]
        {'conv*': 0.5, 'fc*': 0.9}
        >>> halved = PerLayer(sparsity={"fc3*": 0.1}, other=0.2, at=0.2)  # the last layer at half the rate of a round

    Source:
        the per-layer rates of Han et al. 2015 (arXiv:1506.02626) and Frankle & Carbin 2019 (arXiv:1803.03635).
    """

    sparsity: tuple[tuple[str, float], ...] = param(default=(), ge=0, le=1)
    other: float = param(default=0.0, ge=0, le=1)
    at: float | None = param(default=None, gt=0, lt=1)

    @property
    def fixed(self) -> bool:
        """It sets each layer's sparsity itself."""
        return True

    @property
    def looks_ahead(self) -> bool:
        """Unless it is told of rates."""
        return self.at is None

    def conflict(self, other: Component) -> str | None:
        """No layer can be asked for more than the structure can remove."""
        most = 1.0 if self.at is not None else max([self.other, *(s for _, s in self.sparsity)])
        if other.axis == "structure" and most > other.max_sparsity:  # type: ignore[attr-defined]
            return f"it asks a layer for sparsity {most:g}, and this structure removes at most {other.max_sparsity:g}"  # type: ignore[attr-defined]
        return None

    def check(self, names: Sequence[str]) -> None:
        """Every pattern must name a layer."""
        for pattern, _ in self.sparsity:
            if not any(fnmatch(n, pattern) for n in names):
                raise ModelError(f"allocation 'per_layer': {pattern!r} matches none of the layers: {', '.join(names)}")

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select within each layer, at that layer's own sparsity."""
        progress, keep = self._progress(sparsity, final), {}
        for x in layers:
            s = next((s for pattern, s in self.sparsity if fnmatch(x.name, pattern)), self.other)
            now = s if progress == 1 else 1 - (1 - s) ** progress  # rounding at the end could cost a unit
            keep[x.name] = keep_largest([x.score], x.units - count_removed(now, x.units))[0]
        return keep

    def _progress(self, sparsity: float, final: float) -> float:
        """The power of each layer's density, ln d / ln D."""
        end = final if self.at is None else self.at
        if sparsity == end or (self.at is None and sparsity > end):
            return 1.0
        if sparsity == 1:
            return math.inf
        return math.log1p(-sparsity) / math.log1p(-end) if end < 1 else sparsity
