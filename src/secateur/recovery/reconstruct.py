"""Least squares on what each layer gave before."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ..core.component import Component, component, param
from ..core.input_moment import damped
from .base import Inherit

__all__ = ["Reconstruct"]


@component
class Reconstruct(Inherit):
    r"""The survivors of each layer take the values that bring its outputs nearest to what they were, without training.

    .. math:: \hat w_S = \arg\min_{\hat w_S} \lVert w X - \hat w X \rVert^2 = w_S + [XX^\top]_{SS}^{-1} [XX^\top]_{SR}\, w_R

    for each row w of a weight that keeps S and loses R, with X what the layer reads before this event: the joint update of
    Optimal Brain Surgeon. X comes from the pruner's ``data``; layers are refitted one by one, linear ones and convolutions.

    Args:
        damping: what is added to the diagonal of XXᵀ, relative to its mean; more keeps the survivors nearer their values.
        recalibrate: training examples over which batch norms take their statistics anew afterwards; 0 leaves them.

    Example:
        >>> moment = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]])
        >>> Reconstruct(damping=0).refit(torch.tensor([[1.0, 2.0]]), torch.tensor([[False, True]]), moment)
        tensor([[0.0000, 2.5000]])

    Source:
        Hassibi & Stork, *Second order derivatives for network pruning: Optimal Brain Surgeon*, 1992; Frantar & Alistarh,
        *Optimal Brain Compression*, 2022, arXiv:2208.11580.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"input_moment"})

    damping: float = param(default=1e-4, ge=0)

    def conflict(self, other: Component) -> str | None:
        """It refits what a weight gave to what its survivors give, once and for all."""
        if other.axis == "score" and "learned" in other.needs:  # type: ignore[attr-defined]
            return "the score's training has changed what the layers give, and there is nothing to refit them to"
        if other.axis == "schedule" and other.name == "drop_grow":
            return "weights that went come back, and others would have made up for them"
        return None

    def refit(self, weight: Tensor, mask: Tensor, moment: Tensor) -> Tensor:
        """w_S + M_SS⁻¹ M_SR w_R, for every row; rows that lose nothing keep their values to the bit."""
        rows, kept = weight.reshape(len(weight), -1).double(), mask.reshape(len(mask), -1)
        size = len(rows) // len(moment)
        parts = [
            _refitted(rows[i : i + size], kept[i : i + size], damped(m.to(rows), self.damping)[0])
            for i, m in zip(range(0, len(rows), size), moment, strict=True)
        ]
        return torch.cat(parts).to(weight.dtype).view(weight.shape)


def _refitted(rows: Tensor, kept: Tensor, moment: Tensor) -> Tensor:
    """The rows of one group, those with the same mask together."""
    fitted = rows * kept
    patterns, which = torch.unique(kept, dim=0, return_inverse=True)
    for i, stays in enumerate(patterns):
        mine, stay, goes = (which == i).nonzero().flatten(), stays.nonzero().flatten(), (~stays).nonzero().flatten()
        lost = rows[mine][:, goes]
        if not len(stay) or not bool(lost.any()):
            continue
        factor = torch.linalg.cholesky(moment[stay][:, stay])
        made_up = torch.cholesky_solve(moment[stay][:, goes] @ lost.T, factor).T
        fitted[mine[:, None], stay] = rows[mine][:, stay] + made_up * lost.any(1, keepdim=True)
    return fitted
