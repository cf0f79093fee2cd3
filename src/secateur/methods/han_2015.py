"""Three-step training: learn which connections matter, prune the others, retrain the rest."""

from __future__ import annotations

from ..allocation import StdThreshold
from ..goal import Sparsity
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["han_2015"]


@method(
    paper="Han et al., Learning both Weights and Connections for Efficient Neural Networks, 2015",
    source="arXiv:1506.02626",
    claim="LeNet-300-100 and LeNet-5 lose 11 of 12 weights, AlexNet 8 of 9, at no loss of accuracy",
    results=("han2015-mnist.json",),
)
def han_2015(
    *,
    sparsity: float = 1 - 1 / 12,
    rounds: int = 5,
    quality: float | None = None,
    layers: tuple[tuple[str, float], ...] = (),
    epochs: float = 20.0,
    learning_rate: float | None = None,
) -> Recipe:
    """Weights under τ_l = q·std(W_l) go, in rounds, all layers included; dropout is lowered; dead neurons are cut.

    Deviation: the paper picks q_l per layer by sensitivity. With ``quality`` None one q is solved for so that each round
    reaches its share of ``sparsity`` exactly; give ``quality`` for the paper's literal threshold.

    Args:
        sparsity: fraction of all weights removed after the last round (published: 11/12).
        rounds: rounds of prune and retrain.
        quality: q; None solves for it.
        layers: name pattern → that layer's q, or with ``quality`` None its q relative to the others'; less for layers that
            tolerate less, as the first convolutions do.
        epochs: epochs of retraining in each round.
        learning_rate: its peak rate; None for a tenth of the first training's, as in the paper for the LeNets.

    Example:
        >>> han_2015(rounds=3).allocation.name
        'std_threshold'
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=StdThreshold(quality=quality, layers=layers),
        schedule=Iterative(rounds=rounds).at(Sparsity(sparsity).fraction),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate, adjust_dropout=True, drop_dead=True),
        prune_classifier=True,
    )
