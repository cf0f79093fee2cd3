"""Residual branches that matter least, a few at a time."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Layers
from ._registry import method

__all__ = ["depth"]


@method(
    paper="Veit et al., Residual Networks Behave Like Ensembles of Relatively Shallow Networks, 2016",
    source="arXiv:1605.06431",
    claim="a single block of a residual network can be deleted at hardly any loss, except where the size changes",
    results=("depth-resnet56.json",),
)
def depth(
    *,
    sparsity: float = 1 / 3,
    rounds: int = 3,
    epochs: float = 5.0,
    learning_rate: float | None = None,
    recalibrate: int = 1000,
) -> Recipe:
    """Branches go whose norms have the smallest scales Σ|γ|, in rounds, so that the rest is scored anew after each.

    Deviation: the paper deletes blocks at random and does not train again; the scales as a criterion are network slimming's.

    Args:
        sparsity: fraction of the residual branches that is removed after the last round.
        rounds: rounds of removing and training again.
        epochs: epochs of training in each round.
        learning_rate: its peak rate; None for a tenth of the first training's.
        recalibrate: training examples over which batch norms take their statistics after each removal.

    Example:
        >>> depth(rounds=2).structure.to_dict(minimal=True)
        {'name': 'layers', 'members': 'scales'}
    """
    return Recipe(
        structure=Layers(members="scales"),
        score=Magnitude(),
        allocation=Global(),
        schedule=Iterative(rounds=rounds).at(sparsity),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate, recalibrate=recalibrate),
    )
