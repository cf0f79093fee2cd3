"""What flows through a weight, without data."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["SynFlow"]


@component
class SynFlow(Score):
    """A weight matters as much as flows through it in the network of absolute weights: S = |θ| · ∂R/∂|θ|.

    R = 1ᵀ(∏_l |θ_l|)1 is that network's output for an input of ones, summed. A hidden neuron's incoming scores add up to
    what its outgoing ones do, so that no layer is emptied while others have weights to spare, *if* little goes at a time:
    give ``OneShot`` many ``iterations``. It needs no data, only an input to know its shape.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> SynFlow()(torch.tensor([-2.0, 3.0]), Statistics(name="w", synaptic_flow=torch.tensor([1.0, 0.5])))
        tensor([2.0000, 1.5000])

    Source:
        Tanaka et al., *Pruning neural networks without any data by iteratively conserving synaptic flow*, 2020,
        arXiv:2006.05467.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"synaptic_flow"})

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """|θ| · ∂R/∂|θ|."""
        if statistics.synaptic_flow is None:
            raise DataError("score 'syn_flow' needs an input to run the model on; pass Pruner(..., example_inputs=...)")
        return weight.abs() * statistics.synaptic_flow
