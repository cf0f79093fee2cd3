"""One ranking over all layers, of scores relative to what is left of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.component import Component, component
from ..core.layers import Layer
from ..core.select import keep_over_layers
from .base import Allocation

__all__ = ["LAMP"]


@component
class LAMP(Allocation):
    r"""All units compete by the share of the squared scores that each has among those of its layer not below it.

    .. math:: \mathrm{LAMP}(u) = \frac{s_u^2}{\sum_{v \ge u} s_v^2}

    With ``Magnitude`` that is the paper's layer-adaptive magnitude. Only units that are left count. The best of every layer
    has 1, so that no layer is emptied before the others are down to one unit. Counts are exact, as ``Global``'s are.

    Example:
        >>> scores = torch.tensor([1.0, 2.0, 3.0])
        >>> relative(scores)  # 1/14, 4/13, 1
        tensor([0.0714, 0.3077, 1.0000], dtype=torch.float64)

    Source:
        Lee et al., *Layer-adaptive Sparsity for the Magnitude-based Pruning*, 2021, arXiv:2010.07611.
    """

    def conflict(self, other: Component) -> str | None:
        """Squares forget signs, which learned scores have too."""
        if other.axis == "score" and (other.directed or "learned" in other.needs):  # type: ignore[attr-defined]
            return "it squares the scores, and these have signs that count"
        return None

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select over all layers at once."""
        sources = [_relative_to(x.score) for x in layers]
        keep = keep_over_layers(sources, [x.units for x in layers], [x.cost for x in layers], sparsity, floor=1)
        return {x.name: k for x, k in zip(layers, keep, strict=True)}


def relative(scores: Tensor) -> Tensor:
    """s_u² / Σ_{v ≥ u} s_v², of equals the first counting as the largest; −inf and +inf stay what they are.

    Args:
        scores: of one layer.
    """
    flat = scores.flatten().double()
    order = flat.sort(descending=True, stable=True).indices
    finite = order[flat[order].isfinite()]
    best = flat[finite].abs().max() if len(finite) else flat.new_ones(())
    squares = (flat[finite] / (best if best > 0 else 1)).square()  # of any scale
    left = squares.cumsum(0)
    found = flat.clone()
    found[finite] = torch.where(left > 0, squares / left, 0.0)
    return found.view(scores.shape)


def _relative_to(source: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: relative(source())
