"""Gates on the inputs of layers, most of which learn to be shut."""

from __future__ import annotations

from ..allocation import Global, Threshold
from ..recipe import Recipe
from ..recovery import Finetune, KeepTraining
from ..schedule import OneShot
from ..score import HardConcrete
from ..structure import Inputs
from ._registry import method

__all__ = ["l0_hard_concrete"]


@method(
    paper="Louizos, Welling & Kingma, Learning Sparse Neural Networks through L_0 Regularization, 2018",
    source="arXiv:1712.01312",
    claim="the expected number of parameters can be penalised itself: LeNet-300-100 ends with 219-214-100 inputs at 1.4 % error",
    results=("learned-masks.json", "gale-2019.json"),
    start="initial",
)
def l0_hard_concrete(
    *,
    examples: int = 60_000,
    sparsity: float | None = None,
    penalty: float = 0.1,
    l2: float = 0.0,
    drop: float = 0.5,
    gate_learning_rate: float | None = None,
    coupled: bool = False,
    steps: int = 1000,
    epochs: float | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """A hard-concrete gate on every input of a layer and λ/N·Σ|g|·P(z_g≠0); after ``steps`` the inputs with ẑ = 0 go.

    The model's own inputs have gates too, and the columns of each layer go by themselves; with ``coupled`` and
    ``example_inputs`` an input of a layer goes with the neuron or filter that makes it, and the model's own stay.

    Deviations: gates are drawn once a batch and not for each example; the network is not averaged for evaluation.

    Args:
        examples: N, examples in the training set.
        sparsity: fraction of the parameters to remove; None for what is shut.
        penalty: λ (published: 0.1 for MNIST, 1e-3 and 2e-3 for CIFAR).
        l2: λ₂, weight of ½‖θ‖² behind open gates (published: 5e-4·N for CIFAR).
        drop: share of the gates that are shut at the start (published: 0.5, 0.2 for the model's inputs, 0.3 for CIFAR).
        gate_learning_rate: of the gates' log α, which Adam often moves too slowly; None for that of the weights.
        coupled: whether gates are of units that reach over layers.
        steps: optimizer steps until the inputs go.
        epochs: epochs of the training it happens in, when that begins with a trained network; None for a whole training.
        learning_rate: peak rate of that training.

    Example:
        >>> l0_hard_concrete().score.to_dict(minimal=True)
        {'name': 'hard_concrete', 'examples': 60000}
    """
    return Recipe(
        structure=Inputs(coupled=coupled),
        score=HardConcrete(examples=examples, penalty=penalty, l2=l2, drop=drop, learning_rate=gate_learning_rate),
        allocation=Threshold(at=0.0) if sparsity is None else Global(),
        schedule=OneShot(sparsity=0.5 if sparsity is None else sparsity, at_training_step=steps),
        recovery=KeepTraining() if epochs is None else Finetune(epochs=epochs, learning_rate=learning_rate),
        prune_classifier=True,
    )
