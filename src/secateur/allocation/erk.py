"""Sparsities from the layers' shapes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ..core.component import component
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest
from .base import Allocation

__all__ = ["ERK"]


@component
class ERK(Allocation):
    r"""Each layer's density is proportional to the sum of its dimensions over their product (Erdős–Rényi-kernel).

    .. math:: d_l = \varepsilon \, \frac{n_{in} + n_{out} + k_h + k_w}{n_{in} \, n_{out} \, k_h \, k_w}

    with the one ε that reaches the sparsity. Layers that would have more than they have stay as they are, and ε makes up
    for it. Units of equal size are counted exactly over all layers, and each layer's count is its density's to within one.

    Args:
        kernel: count the kernel's sides; without, the sum is of inputs and outputs alone (Erdős–Rényi).

    Example:
        >>> import torch
        >>> fc1, fc2 = (Layer(name=n, weight=w, mask=None, score=w.abs, units=w.numel(), cost=1)
        ...             for n, w in (("fc1", torch.rand(20, 40)), ("fc2", torch.rand(10, 20))))
        >>> {n: int(k.sum()) for n, k in ERK()([fc1, fc2], 0.9, 0.9).items()}  # 100 to share as 60 : 30
        {'fc1': 67, 'fc2': 33}

    Source:
        Evci et al., *Rigging the Lottery: Making All Tickets Winners*, 2020, arXiv:1911.11134; Mocanu et al., *Scalable
        training of artificial neural networks with adaptive sparse connectivity inspired by network science*, 2018,
        arXiv:1707.04780.
    """

    kernel: bool = True

    def __call__(self, layers: Sequence[Layer], sparsity: float, final: float) -> dict[str, Tensor]:
        """Select within each layer."""
        counts = self._counts(layers, sparsity)
        return {x.name: keep_largest([x.score], n)[0] for x, n in zip(layers, counts, strict=True)}

    def _counts(self, layers: Sequence[Layer], sparsity: float) -> list[int]:
        """How many units each layer keeps: no more than are left, no fewer than must stay."""
        least, most, weights = [], [], []
        for x in layers:
            scores = x.score()
            least.append(int((scores == math.inf).sum()))
            most.append(int((scores > -math.inf).sum()))
            weights.append(self._density(x.weight) * x.units)
        costs = [x.cost for x in layers]
        if len(set(costs)) == 1:
            total = sum(x.units for x in layers)
            return shared(total - count_removed(sparsity, total), weights, least, most)
        budget = (1 - sparsity) * sum(x.units * x.cost for x in layers)
        return [round(s) for s in _shares(budget, weights, least, most, costs)]

    def _density(self, weight: Tensor) -> float:
        """Up to ε."""
        sides = weight.shape if self.kernel else weight.shape[:2]
        area = math.prod(sides)
        return sum(sides) / area if area else 1.0


def shared(total: int, weights: Sequence[float], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to weights, each in its range, that add up to a total exactly, or as nearly as ranges let.

    Args:
        total: what to share.
        weights: of the takers, positive.
        least: what each takes in any case.
        most: what each can take.

    Example:
        >>> shared(26_620, [1084.0, 400.0, 110.0], [0, 0, 0], [235_200, 30_000, 1_000])  # LeNet-300-100, a tenth of it
        [18714, 6906, 1000]
    """
    shares = _shares(total, weights, least, most, [1] * len(weights))
    counts = [math.floor(s + 1e-9) for s in shares]
    rest = min(total, sum(most)) - sum(counts)
    for i in sorted(range(len(shares)), key=lambda i: counts[i] - shares[i]):  # the largest part cut off first
        if rest > 0 and counts[i] < most[i]:
            counts[i] += 1
            rest -= 1
    return counts


def _shares(
    budget: float, weights: Sequence[float], least: Sequence[int], most: Sequence[int], costs: Sequence[int]
) -> list[float]:
    """min(max(ε·weight, least), most), with the ε whose shares cost the budget."""

    def at(epsilon: float) -> list[float]:
        return [min(max(epsilon * w, lo), hi) for w, lo, hi in zip(weights, least, most, strict=True)]

    low, high = 0.0, max(hi / w for w, hi in zip(weights, most, strict=True))
    for _ in range(200):
        middle = (low + high) / 2
        if sum(s * c for s, c in zip(at(middle), costs, strict=True)) < budget:
            low = middle
        else:
            high = middle
    return at(high)
