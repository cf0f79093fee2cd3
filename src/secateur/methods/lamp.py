"""Global magnitude pruning, with magnitudes relative to what is left of each layer."""

from __future__ import annotations

from ..allocation import LAMP
from ..goal import Sparsity
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["lamp"]


@method(
    paper="Lee et al., Layer-adaptive Sparsity for the Magnitude-based Pruning, 2021",
    source="arXiv:2010.07611",
    claim="one ranking by each weight's share of its layer's squares gives layer sparsities that beat global, uniform and "
    "Erdős-Rényi ones, most of all at high sparsity",
    results=("layer-budgets.json",),
)
def lamp(*, sparsity: float = 0.9, rounds: int = 5, epochs: float = 10.0, learning_rate: float | None = None) -> Recipe:
    """The smallest w_u² / Σ_{v≥u} w_v² of all layers together go, in rounds of pruning and fine-tuning.

    Args:
        sparsity: fraction of the prunable weights removed after the last round.
        rounds: rounds of prune and fine-tune; the paper removes a fifth of the survivors in each.
        epochs: epochs of fine-tuning in each round.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> lamp(rounds=3).allocation.name
        'lamp'
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=LAMP(),
        schedule=Iterative(rounds=rounds).at(Sparsity(sparsity).fraction),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
