"""Training again from the surviving values."""

from __future__ import annotations

from ..core.component import component, param
from .base import Inherit

__all__ = ["Finetune"]


@component
class Finetune(Inherit):
    """The survivors keep their values and are trained for some epochs more, usually at a lower learning rate.

    In your own loop the epochs and the rate are yours; the ready-made training reads them from here.

    Args:
        epochs: epochs of training after each pruning.
        learning_rate: peak rate of that training; None takes a tenth of the first training's (Han et al.).
        adjust_dropout: lower each dropout rate to D_r = D_o·√(C_r/C_o), with C the connections of the layer it
            follows before and after pruning (the model's ``Dropout.p`` is changed).
        recalibrate: training examples over which batch norms take their statistics anew after each pruning, before training;
            0 leaves them. They are taken from the pruner's ``data``, in whole batches.
        drop_dead: also remove neurons left without inputs or without outputs, with their remaining connections.

    Example:
        >>> Finetune(epochs=20).to_dict(minimal=True)
        {'name': 'finetune', 'epochs': 20.0}

    Source:
        Han et al., *Learning both Weights and Connections for Efficient Neural Networks*, 2015, arXiv:1506.02626, §3.
    """

    epochs: float = param(default=10.0, ge=0)
    learning_rate: float | None = param(default=None, gt=0)
    adjust_dropout: bool = False
    drop_dead: bool = False
