"""Channels whose batch-norm scale a sparsity penalty has made small."""

from __future__ import annotations

from ..allocation import Global
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from ..score import Magnitude
from ..structure import Filters
from ._registry import method

__all__ = ["network_slimming"]


@method(
    paper="Liu et al., Learning Efficient Convolutional Networks through Network Slimming, 2017",
    source="arXiv:1708.06519",
    claim="after training with an L1 penalty on batch-norm scales, channels with small scales go at hardly any loss",
    results=("filters-by-score.json",),
)
def network_slimming(
    *,
    sparsity: float = 0.5,
    penalty: float = 1e-4,
    steps: int = 1000,
    epochs: float = 10.0,
    learning_rate: float | None = None,
) -> Recipe:
    """Training goes on with L + λ·Σ|γ|; after ``steps`` the channels with the least |γ| of the network go, then it is tuned.

    Needs ``example_inputs``: a channel goes with the shift of its norm, so that nothing of it is left to be added elsewhere.

    Deviations: the penalty is on during the last ``steps`` of training and not from its start; channels that are added up
    are scored by the mean of their scales, where the paper has a selection layer.

    Args:
        sparsity: fraction of the parameters that channels own which is removed.
        penalty: λ (published: 1e-4 for VGG, 1e-5 for ResNet-164 and DenseNet-40).
        steps: optimizer steps with the penalty, before the channels go.
        epochs: epochs of the training in which both happen.
        learning_rate: its peak rate; None for a tenth of the first training's.

    Example:
        >>> network_slimming(penalty=1e-5).score.to_dict(minimal=True)
        {'name': 'magnitude', 'penalty': 1e-05}
    """
    return Recipe(
        structure=Filters(members="scales"),
        score=Magnitude(penalty=penalty),
        allocation=Global(),
        schedule=OneShot(sparsity=sparsity, at_training_step=steps),
        recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
    )
