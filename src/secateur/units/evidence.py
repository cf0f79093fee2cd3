"""What the scores of a recipe are told: gradients, of the whole data or example by example."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from ..core.errors import DataError
from ..core.layers import Layer
from ..core.statistics import Loss, collect_gradients, examples, gradients_of, mean_over_ranks
from .base import Units

__all__ = ["Evidence"]


class Evidence:
    """Collects what a score needs, or says what would supply it.

    Args:
        units: whose weights are scored.
        data: batches; None where gradients are the parameters' own.
        loss: ``loss(model, batch)`` → scalar; None for the default.
    """

    def __init__(self, units: Units, data: Iterable[Any] | None, loss: Loss | None) -> None:
        self._units, self._data, self._loss = units, data, loss
        self._score = units.recipe.score

    def check(self, *, at_start: bool) -> None:
        """Refuse, before any work, what would be missing.

        Args:
            at_start: whether no gradient can be there yet.

        Raises:
            DataError: the score needs gradients and there are none.
        """
        needs = self._score.needs
        if self._data is not None or not {"gradient", "example_gradient"} & needs:
            return
        if "example_gradient" in needs:
            raise DataError(
                f"score {self._score.name!r} needs the gradient of each example; pass Pruner(model, recipe, data=batches)"
            )
        if at_start or any(self._units.parameter(n).grad is None for n in self._units.scored):
            raise DataError(
                f"score {self._score.name!r} needs gradients; pass Pruner(model, recipe, data=batches), or call "
                "pruner.step() between optimizer.step() and optimizer.zero_grad()"
            )

    def layers(self, event: int) -> list[Layer]:
        """The layers or groups with the scores of their units.

        Args:
            event: how many times the model was pruned before.

        Raises:
            DataError: the score needs gradients and there are none.
        """
        self.check(at_start=False)
        units, names, gradients = self._units, list(self._units.scored), {}
        if "example_gradient" in self._score.needs:
            found = [
                {n: units.pool(n, event, g) for n in units.targets}
                for g in gradients_of(units.model, names, examples(self._data or ()), self._loss)
            ]
            return units.layers({n: mean_over_ranks([f[n] for f in found]) for n in units.targets}.__getitem__)
        if "gradient" in self._score.needs:
            if self._data is not None:
                gradients = collect_gradients(units.model, names, self._data, self._loss)
            else:
                gradients = {n: g for n in names if (g := units.parameter(n).grad) is not None}
        return units.layers(functools.partial(units.pool, event=event, gradients=gradients))
