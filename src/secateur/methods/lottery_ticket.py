"""Winning tickets: sparse networks that train from the initial weights as well as the whole network does."""

from __future__ import annotations

from ..allocation import Global, PerLayer
from ..core.errors import RecipeError
from ..recipe import Recipe
from ..recovery import Rewind
from ..schedule import Iterative
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["lottery_ticket"]


@method(
    paper="Frankle & Carbin, The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural Networks, 2019",
    source="arXiv:1803.03635",
    claim="a subnetwork of a fifth of LeNet-300-100, trained alone from its initial weights, learns sooner than the whole",
    results=("lottery-ticket.json", "rewinding.json"),
)
def lottery_ticket(
    *,
    sparsity: float | None = None,
    rounds: int = 15,
    rate: float = 0.2,
    layers: tuple[tuple[str, float], ...] = (),
    to: int = 0,
) -> Recipe:
    """In each round the smallest |θ_T| go, ``rate`` of those left, and the survivors go back to θ_0.

    With ``layers`` every layer loses its own rate in each round, the output layer included, as the paper has it for small
    networks: ``(("fc3*", 0.1),)`` for the LeNets, ``(("conv*", 0.1), ("fc3*", 0.1))`` for Conv-2 and Conv-4. Without, weights
    of all layers compete and the output layer stays dense, as for its ResNet and VGG.

    Args:
        sparsity: fraction of the weights removed after the last round; None for what ``rate`` gives.
        rounds: rounds of prune and train anew.
        rate: fraction of the survivors that goes in a round; ``sparsity`` overrides it.
        layers: name pattern → that layer's own rate; the others have ``rate``.
        to: optimizer step that the survivors go back to; 0 is the initialisation.

    Raises:
        RecipeError: ``sparsity`` together with ``layers``, whose rates say how far.

    Example:
        >>> round(lottery_ticket(rounds=7).schedule.final, 3)
        0.79
    """
    if layers and sparsity is not None:
        raise RecipeError("method 'lottery_ticket': layers' own rates say how far; leave sparsity out, or layers")
    schedule = Iterative(rounds=rounds, rate=rate)
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=PerLayer(sparsity=layers, other=rate, at=rate) if layers else Global(),
        schedule=schedule if sparsity is None else schedule.at(sparsity),
        recovery=Rewind(to=to),
        prune_classifier=bool(layers),
    )
