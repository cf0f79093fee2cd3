"""Automated gradual pruning: prune while training, fast at first."""

from __future__ import annotations

from ..allocation import Uniform
from ..recipe import Recipe
from ..recovery import Finetune, KeepTraining
from ..schedule import Cubic
from ..score import Magnitude
from ..structure import Weights
from ._registry import method

__all__ = ["zhu_gupta_2018"]


@method(
    paper="Zhu & Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression, 2018",
    source="arXiv:1710.01878",
    claim="a cubic ramp during training beats pruning at once; large-sparse networks beat small-dense ones of equal size",
    results=("zhu-gupta-2018.json", "large-sparse-small-dense.json", "gale-2019.json"),
)
def zhu_gupta_2018(
    *,
    sparsity: float = 0.9,
    begin: int = 0,
    end: int = 1000,
    every: int = 100,
    epochs: float | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """The smallest |w| of each layer go along s_t = s_f·(1 − (1 − (t − t₀)/(nΔt))³) while training goes on.

    Args:
        sparsity: s_f, fraction removed from every layer at the end.
        begin: optimizer steps before the first event.
        end: optimizer steps at the last event; leave steps to recover after it.
        every: optimizer steps between events.
        epochs: epochs of the training it happens in, when that is a fine-tuning; None for the first training's own.
        learning_rate: peak rate of that fine-tuning.

    Example:
        >>> round(zhu_gupta_2018(begin=0, end=10, every=1).schedule.at_step(5), 4)
        0.7875
    """
    return Recipe(
        structure=Weights(),
        score=Magnitude(),
        allocation=Uniform(),
        schedule=Cubic(sparsity=sparsity, begin=begin, end=end, every=every),
        recovery=KeepTraining() if epochs is None else Finetune(epochs=epochs, learning_rate=learning_rate),
    )
