"""K-means on a line: Lloyd's iteration, exact, on sorted values and their prefix sums.

On a line a cluster is an interval, so one iteration looks k − 1 borders up in the sorted values and takes k differences of
the prefix sums: O(k log n) and not O(k n), after one sort. The borders are compared as the values' own type has them, and
the sums are in double precision.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ModelError

__all__ = ["STARTS", "centroids", "kmeans", "nearest"]

STARTS = ("linear", "density", "random")
_ITERATIONS = 10_000  # each costs microseconds; most runs settle within a hundred or two


def centroids(values: Tensor, k: int, start: str = "linear", seed: int = 0) -> Tensor:
    """Where k-means begins: k centroids for n values, ascending, in double precision.

    ``linear`` spaces them equally over [min, max], ends included; ``density`` takes the quantiles (i + ½)/k; ``random``
    takes k of the values themselves (Forgy), all of them when there are no more.

    Args:
        values: any shape, finite, at least one.
        k: how many.
        start: one of ``STARTS``.
        seed: of the random choice.

    Raises:
        ModelError: no value, a value that is no finite number, or an unknown start.

    Example:
        >>> centroids(torch.tensor([0.0, 1.0, 2.0, 10.0]), 3).tolist()
        [0.0, 5.0, 10.0]
        >>> centroids(torch.tensor([0.0, 1.0, 2.0, 10.0]), 2, "density").tolist()
        [1.0, 10.0]

    Source: S. Han, H. Mao, W. Dally, "Deep Compression", 2016 (arXiv:1510.00149), section 3.2.
    """
    flat = _flat(values)
    if k < 1 or start not in STARTS:
        raise ModelError(f"k-means begins with one or more centroids by {', '.join(STARTS)}; got {k} by {start!r}")
    if start == "linear":
        return torch.from_numpy(np.linspace(float(flat.min()), float(flat.max()), k))
    if start == "density":
        found = np.sort(flat)[((np.arange(k) + 0.5) / k * flat.size).astype(np.int64)]
    else:
        drawn = np.random.default_rng(seed).choice(flat.size, size=min(k, flat.size), replace=False)
        found = np.sort(flat[drawn])
    return torch.from_numpy(found.astype(np.float64))


def kmeans(values: Tensor, start: Tensor, *, iterations: int = _ITERATIONS) -> Tensor:
    """The centroids of argmin Σ_k Σ_{w ∈ c_k} (w − c_k)² that Lloyd's iteration reaches from a start.

    At the end each value belongs to its nearest centroid (the lower one of two) and each centroid is the mean of its
    values; a centroid without values stays where it was.

    Args:
        values: any shape, finite; n of them.
        start: k centroids, ascending.
        iterations: at most so many.

    Returns:
        k centroids, ascending, in double precision.

    Raises:
        ModelError: no value, or a value that is no finite number.

    Example:
        >>> kmeans(torch.tensor([0.0, 1.0, 9.0, 11.0]), torch.tensor([0.0, 11.0])).tolist()
        [0.5, 10.0]
    """
    ordered = np.sort(_flat(values))
    sums = np.concatenate(([0.0], np.cumsum(ordered, dtype=np.float64)))
    now, before = np.sort(start.detach().double().cpu().numpy()), None
    for _ in range(iterations):
        ends = np.concatenate(([0], np.searchsorted(ordered, _borders(now, ordered.dtype), side="right"), [ordered.size]))
        if before is not None and np.array_equal(ends, before):
            break
        before, count = ends, np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(count, 1)
        lowest, highest = ordered[ends[:-1].clip(max=ordered.size - 1)], ordered[(ends[1:] - 1).clip(min=0)]
        means = np.clip(means, lowest, highest, out=means, where=count > 0)  # a difference of sums may miss by a rounding
        now = np.where(count > 0, means, now)
    return torch.from_numpy(now)


def nearest(values: Tensor, codebook: Tensor) -> Tensor:
    """The index of each value's nearest centroid, the lower one of two.

    Args:
        values: any shape.
        codebook: k centroids, ascending.

    Example:
        >>> nearest(torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.0, 1.0])).tolist()
        [0, 0, 1]
    """
    held = values.detach().float() if values.element_size() < 4 else values.detach()  # a double stays one
    borders = _borders(
        codebook.detach().double().cpu().numpy(), np.dtype(np.float64 if held.dtype == torch.float64 else np.float32)
    )
    return torch.bucketize(held, torch.from_numpy(borders).to(held.device), out_int32=True)


def _flat(values: Tensor) -> np.ndarray:
    held = values.detach().cpu().flatten()
    flat: np.ndarray = (held if held.dtype == torch.float64 else held.float()).numpy()
    if not flat.size or not np.isfinite(flat[[flat.argmin(), flat.argmax()]]).all():
        raise ModelError(
            f"k-means needs one finite value or more; got {flat.size} of which {int((~np.isfinite(flat)).sum())} are not finite"
        )
    return flat


def _borders(ascending: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The greatest number of a type that still belongs to the lower one of each two neighbours."""
    middle = ascending[:-1] + np.diff(ascending) / 2
    rounded = middle.astype(dtype)
    return np.where(rounded > middle, np.nextafter(rounded, dtype.type(-np.inf)), rounded)
