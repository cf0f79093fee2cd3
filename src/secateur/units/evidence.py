"""What a recipe is told of the model at an event: gradients, curvature, flow, inputs."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..core.curvature import collect_hessian_gradients
from ..core.errors import DataError, ModelError
from ..core.input_moment import collect_input_moments
from ..core.layers import Layer
from ..core.statistics import (
    Loss,
    collect_gradients,
    collect_squared_gradients,
    examples,
    gradients_of,
    mean_over_ranks,
)
from ..core.synaptic_flow import collect_synaptic_flow
from .base import Found, Gradients, Units

__all__ = ["Evidence"]

_OF_DATA = {
    "example_gradient": "the gradient of each example",
    "squared_gradient": "the squared gradient of each example",
    "hessian_gradient": "the product of Hessian and gradient",
    "input_moment": "the inputs of the layers",
}


class Evidence:
    """Collects what a recipe's score and recovery need, once an event, or says what would supply it.

    Args:
        units: whose weights are scored.
        data: batches; None where gradients are the parameters' own.
        loss: ``loss(model, batch)`` → scalar; None for the default.
        example_inputs: what ``forward`` takes; None to take it from the data.

    Attributes:
        moments: for a recovery that refits, what each parameter that may get a mask read at the last event.

    Raises:
        DataError: the recovery needs data and there is none.
    """

    def __init__(self, units: Units, data: Iterable[Any] | None, loss: Loss | None, example_inputs: Any = None) -> None:
        self._units, self._data, self._loss, self._example = units, data, loss, example_inputs
        self._score, self._recovery = units.recipe.score, units.recipe.recovery
        self.moments: Gradients = {}
        for what in sorted(self._recovery.needs):
            if data is None:
                raise DataError(
                    f"recovery {self._recovery.name!r} needs {_OF_DATA[what]}; pass Pruner(model, recipe, data=batches)"
                )

    def check(self, *, at_start: bool) -> None:
        """Refuse, before any work, what would be missing.

        Args:
            at_start: whether no gradient can be there yet.

        Raises:
            DataError: the score needs data and there is none.
        """
        needs = self._score.needs
        if self._data is not None:
            return
        for what, said in _OF_DATA.items():
            if what in needs:
                raise DataError(f"score {self._score.name!r} needs {said}; pass Pruner(model, recipe, data=batches)")
        if "synaptic_flow" in needs and self._example is None:
            raise DataError(
                f"score {self._score.name!r} needs an input to run the model on, whose values do not matter; pass "
                "Pruner(model, recipe, example_inputs=...), or data=batches"
            )
        if "gradient" in needs and (at_start or any(self._units.parameter(n).grad is None for n in self._units.scored)):
            raise DataError(
                f"score {self._score.name!r} needs gradients; pass Pruner(model, recipe, data=batches), or call "
                "pruner.step() between optimizer.step() and optimizer.zero_grad()"
            )

    def layers(self, event: int) -> list[Layer]:
        """The layers or groups with the scores of their units.

        Args:
            event: how many times the model was pruned before.

        Raises:
            DataError: the score needs data and there is none.
        """
        self.check(at_start=False)
        units, names = self._units, list(self._units.scored)
        with torch.random.fork_rng(devices=self._devices()):
            found = self._collected(names)
            if "example_gradient" not in self._score.needs:
                return units.layers(functools.partial(units.pool, event=event, found=found))
            each = [
                {n: units.pool(n, event, {**found, "gradient": g}) for n in units.targets}
                for g in gradients_of(units.model, names, examples(self._data or ()), self._loss)
            ]
        return units.layers({n: mean_over_ranks([f[n] for f in each]) for n in units.targets}.__getitem__)

    def _collected(self, names: list[str]) -> Found:
        """What the score's fields of ``Statistics`` are."""
        model, data, loss, needs = self._units.model, self._data or (), self._loss, self._score.needs
        found: dict[str, Gradients] = {}
        if "gradient" in needs:
            own = {n: g for n in names if (g := self._units.parameter(n).grad) is not None}
            found["gradient"] = own if self._data is None else collect_gradients(model, names, data, loss)
        if "squared_gradient" in needs:
            found["squared_gradient"] = collect_squared_gradients(model, names, data, loss)
        if "hessian_gradient" in needs:
            product = collect_hessian_gradients(model, names, data, loss, temperature=self._score.divisor)
            found["hessian_gradient"] = product
        if "synaptic_flow" in needs:
            found["synaptic_flow"] = collect_synaptic_flow(model, names, self._input())
        if "input_moment" in needs | self._recovery.needs:
            found["input_moment"] = self._inputs(names if "input_moment" in needs else [])
            self.moments = found["input_moment"] if self._recovery.needs else {}
        return found

    def _inputs(self, scored: list[str]) -> Gradients:
        units = self._units
        maskable = units.maskable if self._recovery.needs else ()
        refitted = [n for n, p in units.model.named_parameters() if n in maskable and p.ndim > 1]
        names = list(dict.fromkeys((*scored, *refitted)))
        moments = collect_input_moments(units.model, names, self._data or (), self._loss)
        unread = [n for n in scored if n not in moments]
        if unread:
            raise ModelError(
                f"score {self._score.name!r} needs the inputs of every layer it scores, and no linear layer or convolution "
                f"reads {unread[0]!r} when the model runs; leave it dense with exclude=({unread[0]!r},)"
            )
        return moments

    def _input(self) -> Any:
        """Something to call the model with: one example of the data where no example inputs are given."""
        if self._example is not None:
            return self._example
        first = next(iter(examples(self._data or ())), None)
        if first is None:
            raise DataError("data holds no batch; synaptic flow wants one, to know the shape of an input")
        return first if isinstance(first, Mapping) or not isinstance(first, list | tuple) else first[0]

    def _devices(self) -> list[torch.device]:
        found = {self._units.parameter(n).device for n in self._units.scored}
        return [d for d in found if d.type == "cuda"]
