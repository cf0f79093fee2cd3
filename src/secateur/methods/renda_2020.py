"""Learning-rate rewinding: prune, keep the weights, train again under the same learning rates."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import RewindLearningRate
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["renda_2020"]


@method(
    paper="Renda et al., Comparing Rewinding and Fine-tuning in Neural Network Pruning, 2020",
    source="arXiv:2003.02389",
    claim="retraining under the original learning rates beats fine-tuning at the last one, and is no worse than rewound weights",
    results=("rewinding.json",),
)
def renda_2020(*, sparsity: float | None = None, rounds: int = 10, rate: float = 0.2, to: int = 0) -> Recipe:
    """In each round the smallest |w| of all layers go, and the rest is trained again for as long as the dense network was.

    Args:
        sparsity: fraction of the prunable weights removed after the last round; None for what ``rate`` gives.
        rounds: rounds of prune and retrain.
        rate: fraction of the survivors that goes in a round; ``sparsity`` overrides it.
        to: optimizer step at which the replay of the learning rates begins.

    Example:
        >>> renda_2020(sparsity=0.9, rounds=1).recovery.name
        'rewind_learning_rate'
    """
    schedule = Iterative(rounds=rounds, rate=rate)
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Global(),
        schedule=schedule if sparsity is None else schedule.at(sparsity),
        recovery=RewindLearningRate(to=to),
    )
