"""Exact top-k over many tensors: the one place that decides which units stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .errors import DataError

__all__ = ["count_removed", "keep_largest", "keep_over_layers", "keep_within_budget"]

_SAMPLE = 1 << 18  # values that bracket the threshold of a large selection
_SMALL = 1 << 20  # below this many values one sort is quicker than a bracket

Source = Callable[[], Tensor]


def count_removed(sparsity: float, total: int) -> int:
    """How many of ``total`` units a sparsity removes: ``round(sparsity · total)``.

    Example:
        >>> count_removed(0.9, 16)
        14
    """
    return round(sparsity * total)


def keep_largest(sources: Sequence[Source], keep: int) -> list[Tensor]:
    """Boolean masks that keep exactly the ``keep`` largest values of all sources together, ties by index.

    Each source is a function that returns its scores, and is called up to three times, so that no more than one
    tensor of scores need be alive at once: pruning a model of N weights then takes N bytes for the masks and little more.

    Args:
        sources: one function a tensor; −inf marks what is gone already, +inf what must stay.
        keep: how many values stay, over all sources.

    Raises:
        DataError: a score is not a number.

    Example:
        >>> a, b = torch.tensor([1.0, 5.0]), torch.tensor([3.0, 3.0])
        >>> keep_largest([lambda: a, lambda: b], 2)
        [tensor([False,  True]), tensor([ True, False])]
    """
    first = [s() for s in sources] if len(sources) == 1 else None
    if first is not None:  # one tensor: compute it once
        sources = [lambda: first[0]]
    threshold, ties = _threshold(sources, keep)
    masks = []
    for source in sources:
        scores = source()
        mask = (scores > threshold).contiguous()
        if ties:
            equal = (scores == threshold).flatten().nonzero().flatten()[:ties]
            mask.view(-1)[equal] = True
            ties -= equal.numel()
        masks.append(mask)
    return masks


def _threshold(sources: Sequence[Source], keep: int) -> tuple[float, int]:
    """The ``keep``-th largest value, and how many that equal it are to be kept."""
    sizes, sample = _sample(sources)
    total = sum(sizes)
    if keep <= 0:
        return math.inf, 0
    if keep >= total:
        return -math.inf, total
    bracket = _bracket(sample, keep / total) if total > _SMALL else (-math.inf, math.inf)
    for low, high in (bracket, (-math.inf, math.inf)):
        above, inside = 0, []
        for source in sources:
            scores = source().flatten()
            over = scores > high
            above += int(over.sum())
            inside.append(scores[~over & (scores >= low)] if low > -math.inf or above else scores)
        pool = torch.cat([s.to(inside[0].device) for s in inside])
        if above < keep <= above + pool.numel():
            value = float(torch.kthvalue(pool, pool.numel() - (keep - above) + 1).values)
            return value, keep - above - int((pool > value).sum())
    raise AssertionError("the open bracket holds every value")


def _sample(sources: Sequence[Source]) -> tuple[list[int], Tensor]:
    """The sizes of the sources, and evenly spaced values of them all."""
    sizes, parts = [], []
    for source in sources:
        scores = source().flatten()
        if scores.numel() and bool(scores.max().isnan()):  # max carries NaN through without a temporary
            raise DataError("a score is not a number (NaN): the weights or gradients have diverged; lower the learning rate")
        sizes.append(scores.numel())
        stride = max(1, scores.numel() * len(sources) // _SAMPLE)
        parts.append(scores[::stride].float().cpu().clone())  # a copy: a view would keep all scores alive
    return sizes, torch.cat(parts) if parts else torch.empty(0)


def _bracket(sample: Tensor, share: float) -> tuple[float, float]:
    """Two values between which the threshold lies almost surely (the caller checks)."""
    ordered = sample.sort(descending=True).values
    n = ordered.numel()
    margin = 6 * math.sqrt(n * share * (1 - share)) + 64
    high = ordered[max(0, int(share * n - margin))]
    low = ordered[min(n - 1, int(share * n + margin))]
    return (float(low) if share * n + margin < n else -math.inf, float(high) if share * n > margin else math.inf)


def keep_within_budget(sources: Sequence[Source], costs: Sequence[int], sparsity: float) -> list[Tensor]:
    """As ``keep_largest``, for units of unequal size: the lowest go until the removed share of the cost is nearest the sparsity.

    Args:
        sources: one function a tensor of unit scores.
        costs: parameters one unit of each tensor holds.
        sparsity: share of all parameters to remove.

    Example:
        >>> a, b = torch.tensor([1.0, 5.0]), torch.tensor([3.0, 4.0])
        >>> keep_within_budget([lambda: a, lambda: b], [10, 1], 0.5)
        [tensor([False,  True]), tensor([False,  True])]
    """
    scores = [s().flatten() for s in sources]
    device = scores[0].device
    flat = torch.cat([s.to(device) for s in scores])
    cost = torch.cat(
        [torch.full((s.numel(),), c, dtype=torch.float64, device=device) for s, c in zip(scores, costs, strict=True)]
    )
    if bool(flat.isnan().any()):
        raise DataError("a score is not a number (NaN): the weights or gradients have diverged; lower the learning rate")
    # the last of equals goes first, as in keep_largest
    order = flat.flip(0).sort(stable=True).indices
    order = flat.numel() - 1 - order
    removed = torch.cat([cost.new_zeros(1), cost[order].cumsum(0)])
    removable = int((flat < math.inf).sum())
    count = min(int((removed - sparsity * removed[-1]).abs().argmin()), removable)
    keep = torch.ones_like(flat, dtype=torch.bool)
    keep[order[:count]] = False
    parts = torch.split(keep, [s.numel() for s in scores])
    return [k.view(s().shape).to(s().device) for k, s in zip(parts, sources, strict=True)]


def keep_over_layers(
    sources: Sequence[Source], units: Sequence[int], costs: Sequence[int], sparsity: float, floor: int
) -> list[Tensor]:
    """One ranking over all layers: ``keep_largest`` for units of one size, ``keep_within_budget`` for unequal ones.

    Args:
        sources: one function a layer, which returns the scores of its units.
        units: how many each layer has.
        costs: parameters one unit of each layer holds.
        sparsity: share of all units, or of all parameters, to remove.
        floor: units that every layer keeps, its best ones, unless more are wanted gone than that leaves.

    Example:
        >>> a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
        >>> keep_over_layers([lambda: a, lambda: b], [2, 2], [1, 1], 0.5, floor=1)
        [tensor([False,  True]), tensor([False,  True])]
    """
    keep = _ranked(sources, units, costs, sparsity)
    wanted = [_count_floor(s, k, floor) for s, k in zip(sources, keep, strict=True)]
    room = sum(w for w, _ in wanted) <= sum(int(k.sum()) for k in keep)
    if not room or all(kept >= w for w, kept in wanted):
        return keep
    return _ranked([_with_floor(s, w) for s, (w, _) in zip(sources, wanted, strict=True)], units, costs, sparsity)


def _ranked(sources: Sequence[Source], units: Sequence[int], costs: Sequence[int], sparsity: float) -> list[Tensor]:
    if len(set(costs)) > 1:
        return keep_within_budget(sources, costs, sparsity)
    total = sum(units)
    return keep_largest(sources, total - count_removed(sparsity, total))


def _count_floor(source: Source, keep: Tensor, floor: int) -> tuple[int, int]:
    """How many units of a layer must stay, and how many did."""
    kept = int(keep.sum())
    return (floor, kept) if kept >= floor else (min(floor, int((source() > -math.inf).sum())), kept)


def _with_floor(source: Source, floor: int) -> Source:
    def scores() -> Tensor:
        found = source()
        return found.masked_fill(keep_largest([lambda: found], floor)[0], math.inf)

    return scores
