"""Attention heads, pruned after training by the loss's answer to a gate on each."""

from __future__ import annotations

from ..allocation import Global
from ..goal import Sparsity
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import Iterative
from ..score import Taylor
from ..structure import Heads
from ._registry import method

__all__ = ["michel_2019"]


@method(
    paper="Michel et al., Are Sixteen Heads Really Better than One?, 2019",
    source="arXiv:1905.10650",
    claim="20 to 40 % of the heads of BERT and of a translation model go after training before quality falls noticeably",
    results=("heads.json",),
)
def michel_2019(*, sparsity: float = 0.4, rounds: int = 4, epochs: float = 0.0, learning_rate: float | None = None) -> Recipe:
    """The heads with the least I_h = E_x |∂L(x)/∂ξ_h| go, over all layers, a tenth of them at a time, scored anew.

    ξ_h is a gate on the head's output, so ∂L/∂ξ_h = Σ w·∂L/∂w over the columns of the output layer that read the head.
    The I_h of a layer are brought to length 1. Needs ``example_inputs`` and ``data``.

    Deviation: at least one head of each layer stays.

    Args:
        sparsity: fraction of all heads removed after the last round.
        rounds: equal steps to get there.
        epochs: epochs of fine-tuning after each; the paper trains no further.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> michel_2019().structure.members
        'consumers'
    """
    return Recipe(
        structure=Heads(reduce="abs_sum", members="consumers", normalize="l2"),
        score=Taylor(signed=True),
        allocation=Global(),
        schedule=Iterative(rounds=rounds, even=True).at(Sparsity(sparsity).fraction),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
