"""A learned dropout rate for every weight; those that are only noise go."""

from __future__ import annotations

from ..allocation import Global, Threshold
from ..recipe import Recipe
from ..recovery import Finetune, KeepTraining
from ..schedule import OneShot
from ..score import VariationalDropout
from ..structure import Weights
from ._registry import method

__all__ = ["variational_dropout"]


@method(
    paper="Molchanov, Ashukha & Vetrov, Variational Dropout Sparsifies Deep Neural Networks, 2017",
    source="arXiv:1701.05369",
    claim="learning each weight's own dropout rate prunes LeNet-300-100 68 times and LeNet-5 280 times with hardly any loss",
    results=("variational-dropout.json", "learned-masks.json", "gale-2019.json"),
    start="initial",
)
def variational_dropout(
    *,
    examples: int = 60_000,
    sparsity: float | None = None,
    steps: int = 1000,
    kl: float = 1.0,
    begin: int = 25,
    ramp: int = 75,
    train_clip: bool = False,
    epochs: float | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """Training with noise N(0, σ²) on every weight and kl/N·Σ D_KL; after ``steps`` the weights with log α ≥ 3 go.

    Published: Adam at 1e-3 falling linearly to 0, no weight decay, 200 epochs; the penalty begins after 5 of them and is
    whole after 20. With a ``sparsity`` the largest log α of the network go instead, as Gale et al. 2019 (arXiv:1902.09574)
    choose the threshold after training.

    Args:
        examples: N, examples in the training set; with another N the penalty is wrong.
        sparsity: fraction of the weights to remove; None for those with log α ≥ 3.
        steps: optimizer steps until they go, of which those before the training's end tune what is left.
        kl: weight of the penalty; 1 is the variational bound.
        begin: optimizer steps without it.
        ramp: steps in which it rises.
        train_clip: weights with log α ≥ 3 are left out while training, too: more of them go.
        epochs: epochs of the training it happens in, when that begins with a trained network; None for a whole training.
        learning_rate: peak rate of that training.

    Example:
        >>> recipe = variational_dropout(examples=50_000)
        >>> recipe.allocation.to_dict(), recipe.score.examples
        ({'name': 'threshold', 'at': -3.0}, 50000)
    """
    return Recipe(
        structure=Weights(),
        score=VariationalDropout(examples=examples, kl=kl, begin=begin, ramp=ramp, train_clip=train_clip),
        allocation=Threshold(at=-3.0) if sparsity is None else Global(),
        schedule=OneShot(sparsity=0.5 if sparsity is None else sparsity, at_training_step=steps),
        recovery=KeepTraining() if epochs is None else Finetune(epochs=epochs, learning_rate=learning_rate),
        prune_classifier=True,
    )
