"""What holds of every allocation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..allocation import Allocation
from ..core.layers import Layer
from .claim import claim, instance
from .component import check_component

__all__ = ["check_allocation"]

_NAMES = ("conv1.weight", "conv2.weight", "fc1.weight")
_FINAL = 0.9


def check_allocation(given: type[Allocation] | Allocation, *, names: Sequence[str] = _NAMES) -> None:
    """Each layer keeps its best units, ties by index; the total is exact; what is gone stays gone; the answer repeats.

    Args:
        given: the allocation, or its class.
        names: names of the layers to try it on, where it goes by names.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.allocation import Uniform
        >>> check_allocation(Uniform)
    """
    allocation = instance(given, Allocation)
    check_component(allocation)
    allocation.check(names)
    g = torch.Generator().manual_seed(2)
    weights = {n: torch.randn(12 + 5 * i, 10, generator=g) for i, n in enumerate(names)}
    ties = {n: w.mul(2).round() for n, w in weights.items()}
    for values in (weights, ties):
        masks: dict[str, Tensor] | None = None
        for sparsity in (0.0, 0.31, 0.55, _FINAL):
            layers = _layers(values, masks)
            keep = allocation(layers, sparsity, _FINAL)
            _check_answer(allocation, layers, keep, sparsity)
            masks = keep


def _layers(weights: dict[str, Tensor], masks: dict[str, Tensor] | None) -> list[Layer]:
    found = []
    for name, w in weights.items():
        mask = None if masks is None else masks[name]
        found.append(Layer(name=name, weight=w, mask=mask, score=_score(w, mask), units=w.numel(), cost=1))
    return found


def _score(weight: Tensor, mask: Tensor | None) -> Callable[[], Tensor]:
    return lambda: weight.abs() if mask is None else weight.abs().masked_fill(~mask, -math.inf)


def _check_answer(allocation: Any, layers: list[Layer], keep: dict[str, Tensor], sparsity: float) -> None:
    claim(set(keep) == {x.name for x in layers}, allocation, "does not answer for every layer, and no other, by name")
    again = allocation(layers, sparsity, _FINAL)
    for x in layers:
        kept, scores = keep[x.name], x.score()
        claim(kept.dtype == torch.bool and kept.shape == scores.shape, allocation, "does not answer one boolean a unit")
        claim(torch.equal(kept, again[x.name]), allocation, "answers otherwise when asked again")
        claim(x.mask is None or not bool((kept & ~x.mask).any()), allocation, "brings back units that were gone (−inf)")
        best = scores.flatten().sort(descending=True, stable=True).indices[: int(kept.sum())]
        oracle = torch.zeros(scores.numel(), dtype=torch.bool).index_fill_(0, best, True).view(scores.shape)
        claim(torch.equal(kept, oracle), allocation, f"does not keep the best units of {x.name!r}, the first of equals")
    total = sum(x.units for x in layers)
    removed = total - sum(int(k.sum()) for k in keep.values())
    exact = allocation.fixed or abs(removed - sparsity * total) <= len(layers) / 2
    claim(exact, allocation, f"removes {removed} of {total} units at sparsity {sparsity}: counts are exact, or it is `fixed`")
