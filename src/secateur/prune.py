"""Pruning in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from .core.statistics import Loss
from .goal import Goal
from .pruner import Pruner
from .recipe import Recipe

__all__ = ["prune_"]


def prune_(
    model: nn.Module,
    recipe: Recipe,
    *,
    example_inputs: Any = None,
    target: Goal | None = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    train: Callable[[nn.Module], object] | None = None,
) -> Pruner:
    """Prune a model in one call, in place.

    Args:
        model: any module; its weights are changed, its class, keys and ``forward`` are not.
        recipe: the method; its schedule counts rounds (``OneShot``, ``Iterative``).
        example_inputs: what ``forward`` takes; with them whole units are removed over all layers they reach.
        target: how far, for the whole model (``Compression(16)``, ``Macs(0.5)``).
        data: batches for scores that need data.
        loss: ``loss(model, batch)`` → scalar, when the default does not fit the batches.
        train: called with the model after each round; make it call ``pruner.apply()`` or train with ``Pruner.rounds()``
            yourself to keep pruned weights at zero while it trains — here they are zeroed again after it returns.

    Returns:
        The pruner, which holds the masks.

    Raises:
        RecipeError: the schedule prunes while training.
        DataError: the score needs data and none is given.

    Example:
        >>> import torch, secateur
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> secateur.prune_(model, secateur.Recipe(), target=secateur.Sparsity(0.5)).sparsity
        0.5
    """
    pruner = Pruner(model, recipe, example_inputs=example_inputs, target=target, data=data, loss=loss)
    for r, _ in enumerate(pruner.rounds()):
        if r and train is not None:
            train(model)
            pruner.apply()
    return pruner
