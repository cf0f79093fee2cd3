"""Second-order saliency, with the other weights making up for each that goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from ..core.component import Component, component, param
from ..core.errors import DataError
from ..core.input_moment import damped
from ..core.statistics import Statistics
from .base import Score

__all__ = ["OBS"]

_CHUNK = 1 << 23  # numbers of inverse Hessians worked on at a time
_TURNS = 32  # turns after which they are brought up to date


@component
class OBS(Score):
    r"""A weight matters as much as the layer's outputs would change without it, the rest of its row making up for it.

    .. math:: p = \arg\min_p \frac{w_p^2}{2[H^{-1}]_{pp}}, \quad
              w \leftarrow w - \frac{w_p}{[H^{-1}]_{pp}} H^{-1}_{:,p}, \quad
              H^{-1} \leftarrow H^{-1} - \frac{H^{-1}_{:,p} H^{-1}_{p,:}}{[H^{-1}]_{pp}}

    over and over, each row of the weight by itself, with H = 2XXᵀ of the layer's inputs: the fraction is by how much
    ‖WX − ŴX‖² grows. A weight's score is that growth when its turn comes, or just above the score of the one before it
    if that is more, so that any threshold on scores keeps what is left of each row's order. Layers' outputs differ in scale:
    give each layer its own share. Follow it with the recovery ``Reconstruct``, which gives the survivors the values that the
    scores assume.

    Args:
        damping: what is added to the diagonal of H, relative to its mean; more where it takes more to invert H.

    Example:
        >>> H = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]) / 2  # the moment; inverse of H: 2/3 on the diagonal, −1/3 off it
        >>> OBS(damping=0)(torch.tensor([[1.0, 2.0]]), Statistics(name="w", input_moment=H))
        tensor([[0.7500, 6.2500]], dtype=torch.float64)

    Source:
        Frantar & Alistarh, *Optimal Brain Compression*, 2022, arXiv:2208.11580; Hassibi & Stork, *Second order derivatives
        for network pruning: Optimal Brain Surgeon*, 1992.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"input_moment"})

    damping: float = param(default=1e-4, ge=0)

    def conflict(self, other: Component) -> str | None:
        """What single weights cost one after the other says nothing of a group that goes at once."""
        if other.axis == "structure" and hasattr(other, "reduce"):
            return "its scores are of single weights that go one after the other, and do not add up to a group's"
        return None

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """The growth of ‖WX − ŴX‖² at each weight's turn, as doubles."""
        moments = statistics.input_moment
        if moments is None:
            raise DataError("score 'obs' needs the inputs of the layer; pass Pruner(..., data=batches)")
        rows = weight.detach().reshape(len(weight), -1).double()
        parts = torch.split(rows, len(rows) // len(moments))
        scores = [_scores(part, *damped(m.double(), self.damping)) for part, m in zip(parts, moments, strict=True)]
        return torch.cat(scores).view(weight.shape)


def _scores(rows: Tensor, moment: Tensor, there: Tensor) -> Tensor:
    """The scores of rows that read the same inputs."""
    scores = torch.zeros_like(rows)
    alive = (rows != 0) & there  # pruned weights and dead inputs are gone before the first turn
    for some in _chunks(alive):
        left = alive[some]
        places = left.int().sort(dim=1, descending=True, stable=True).indices[:, : int(left.sum(1).max())]
        left = left.gather(1, places)
        alike = bool(left.all() and (places == places[0]).all())  # one inverse does for all rows
        inverse = _inverse(moment, places[:1] if alike else places, left[:1] if alike else left)
        inverse = inverse.expand(len(places), -1, -1).contiguous()
        scores[some] = scores[some].scatter(1, places, _traced(rows[some].gather(1, places), inverse, left))
    return scores


def _inverse(moment: Tensor, places: Tensor, left: Tensor) -> Tensor:
    """(2M)⁻¹ of what is left of each row, and 1 on the diagonal where a row has less."""
    hessian = 2 * moment[places[:, :, None], places[:, None, :]]
    eye = torch.eye(places.shape[1], dtype=hessian.dtype, device=hessian.device)
    return torch.cholesky_inverse(torch.linalg.cholesky(torch.where(left[:, :, None] & left[:, None, :], hessian, eye)))


def _chunks(alive: Tensor) -> Iterator[Tensor]:
    """Rows with about as many weights left, as many at a time as fit."""
    counts = alive.sum(1)
    order = counts.argsort(descending=True)
    start = 0
    while start < len(order) and int(counts[order[start]]):
        size = max(1, _CHUNK // int(counts[order[start]]) ** 2)
        yield order[start : start + size]
        start += size


def _traced(weights: Tensor, inverse: Tensor, alive: Tensor) -> Tensor:
    """Remove weight after weight from every row, and write down what each cost.

    With u = H⁻¹_{:,p} / √[H⁻¹]_pp each turn subtracts u uᵀ from H⁻¹; that is done for many turns at a time.

    Args:
        weights: ``[rows, n]``.
        inverse: ``[rows, n, n]``, changed.
        alive: ``[rows, n]``, which of them there are.
    """
    scores = torch.zeros_like(weights)
    places = torch.arange(weights.shape[1], device=weights.device).expand_as(weights)
    level, left = weights.new_zeros(len(weights)), weights.shape[1]
    while left:
        turns = min(_TURNS, left)
        weights, level = _some_turns(turns, weights, inverse, alive, places, level, scores)
        left -= turns
        if 2 * left <= weights.shape[1] and left:  # half of the matrices are zero: go on without that half
            kept = alive.int().sort(dim=1, descending=True, stable=True).indices[:, :left]
            row = torch.arange(len(weights), device=weights.device)[:, None, None]
            inverse = inverse[row, kept[:, :, None], kept[:, None, :]]
            weights, alive, places = weights.gather(1, kept), alive.gather(1, kept), places.gather(1, kept)
    return scores


def _some_turns(
    turns: int, weights: Tensor, inverse: Tensor, alive: Tensor, places: Tensor, level: Tensor, scores: Tensor
) -> tuple[Tensor, Tensor]:
    """So many turns of every row; ``inverse``, ``alive`` and ``scores`` are changed, new weights and levels returned."""
    row, far = torch.arange(len(weights), device=weights.device), level.new_tensor(torch.inf)
    diagonal = inverse.diagonal(dim1=1, dim2=2).clone()
    taken = weights.new_zeros(len(weights), turns, weights.shape[1])  # the u of these turns
    for k in range(turns):
        diagonal.clamp_min_(1e-300)
        cost, p = torch.where(alive, weights.square() / (2 * diagonal), far).min(1)
        going = cost < torch.inf
        level = torch.where(going, torch.maximum(cost, level.nextafter(far)), level)
        scores[row[going], places[row, p][going]] = level[going]
        column = inverse[row, p] - (taken[row, :k, p][:, None] @ taken[:, :k])[:, 0]
        root = diagonal[row, p].sqrt()
        u = torch.where(going, 1 / root, 0.0)[:, None] * column
        weights = weights - (weights[row, p] / root)[:, None] * u
        diagonal -= u.square()
        taken[:, k] = u
        alive.scatter_(1, p[:, None], False)
    inverse.baddbmm_(taken.transpose(1, 2), taken, alpha=-1)
    return weights, level
