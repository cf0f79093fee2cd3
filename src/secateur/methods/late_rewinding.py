"""Late rewinding: tickets of networks that are too deep for the initial weights to do."""

from __future__ import annotations

from ..recipe import Recipe
from ._registry import method
from .lottery_ticket import lottery_ticket

__all__ = ["late_rewinding"]


@method(
    paper="Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, 2020",
    source="arXiv:1912.05671",
    claim="rewound to a step early in training at which it is stable to the data order, a pruned ResNet matches the dense one",
    results=("rewinding.json", "instability.json"),
)
def late_rewinding(*, sparsity: float | None = None, rounds: int = 10, rate: float = 0.2, to: int = 1000) -> Recipe:
    """In each round the smallest |θ_T| of all layers go, and the survivors go back to θ_k of the dense training, k > 0.

    Deviation: the optimizer starts anew at step k; the paper's own momentum at k is not kept.

    Args:
        sparsity: fraction of the prunable weights removed after the last round; None for what ``rate`` gives.
        rounds: rounds of prune and train on.
        rate: fraction of the survivors that goes in a round; ``sparsity`` overrides it.
        to: k, optimizer steps (published for ResNet-20 on CIFAR-10: 500 to 2000 of 62 000).

    Example:
        >>> late_rewinding(to=500).recovery.resume_at
        500
    """
    return lottery_ticket(sparsity=sparsity, rounds=rounds, rate=rate, to=to)
