"""Units that come back: as many as are dropped, so that every layer keeps its number."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.layers import Layer
from ..core.select import count_removed, keep_largest
from ..core.statistics import Loss, Statistics, collect_gradients, mean_over_ranks
from ..core.surgery import zero_momentum
from ..schedule import DropGrow
from ..score import Random
from .base import Choice, Gradients, Units
from .layerwise import LayerUnits

__all__ = ["Exchange", "find_exchange"]


class Exchange:
    """Draws each layer's first units by lot; later drops the least and grows as many others.

    Every choice is a function of the seed, the layer's name and the number of events before, alike on every rank.

    Args:
        units: the units.
        schedule: how many, and what comes back.
        data: batches to take gradients over where parameters have none.
        loss: ``loss(model, batch)`` → scalar; None for the default.
    """

    def __init__(self, units: LayerUnits, schedule: DropGrow, data: Iterable[Any] | None, loss: Loss | None) -> None:
        self._units, self._schedule, self._data, self._loss = units, schedule, data, loss

    def check(self) -> None:
        """Refuse, at the first step, gradients that would be missing at the first exchange.

        Raises:
            DataError: growth goes by gradient and there are none.
        """
        if self._schedule.grow == "gradient" and self._data is None and self._lacking():
            raise DataError(
                f"schedule {self._schedule.name!r} grows where the gradient is large, and {self._lacking()!r} has none; call "
                "pruner.step() between optimizer.step() and optimizer.zero_grad(), pass Pruner(model, recipe, data=batches), "
                "or use grow='random'"
            )

    def drawn(self, keep: Choice, layers: Sequence[Layer], event: int) -> dict[str, Tensor]:
        """As many units of each layer as an allocation keeps, by lot among those that are left."""
        chosen = {}
        for x in layers:
            scores = x.score()
            lot = self._lot(x.name, scores, event).masked_fill(scores == -math.inf, -math.inf)
            chosen[x.name] = keep_largest([lambda lot=lot: lot], int(keep[x.name].sum()))[0]  # type: ignore[misc]
        return chosen

    def __call__(self, layers: Sequence[Layer], t: int, event: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Exchange the share that step t asks for; masks, new weights and their moments say so afterwards.

        Args:
            layers: the layers with the scores of their units.
            t: optimizer steps done.
            event: how many events were before.
            optimizer: whose moments of newly grown weights to zero.
        """
        gradients = self._gradients() if self._schedule.grow == "gradient" else {}
        if not all(bool(g.isfinite().all()) for g in gradients.values()):
            return  # a step that overflowed, and that mixed precision skips
        before, fraction = dict(self._units.masks), self._schedule.fraction_at(t)
        self._units.replace({x.name: self._exchanged(x, fraction, event, gradients) for x in layers})
        for x in layers:
            self._begin(x.name, before[x.name], event, optimizer)

    def _exchanged(self, x: Layer, fraction: float, event: int, gradients: Gradients) -> Tensor:
        """The units a layer goes on with: as many as it had."""
        scores = x.score()
        count = int((scores > -math.inf).sum())
        stay = keep_largest([lambda: scores], count - count_removed(fraction, count))[0]
        if gradients:
            gradient = self._units.oriented(x.name, gradients[x.name])
            wanted = self._units.recipe.structure.units(gradient.abs().float(), None)
        else:
            wanted = self._lot(f"{x.name}/grow", scores, event)
        wanted = wanted.masked_fill(stay, -math.inf)  # all others may come, the ones just dropped too
        return stay | keep_largest([lambda: wanted], count - int(stay.sum()))[0]

    def _begin(self, name: str, before: Tensor, event: int, optimizer: torch.optim.Optimizer | None) -> None:
        """Give the newly grown weights of a layer their first values, and no past."""
        parameter, new = self._units.parameter(name), self._units.masks[name] & ~before
        first = torch.zeros_like(parameter)
        if self._schedule.new_scale and bool(before.any()):
            normal = torch.randn(parameter.shape, generator=_generator(self._schedule.seed, event, name))
            spread = self._schedule.new_scale * parameter[before].float().square().mean().sqrt()
            first.copy_(normal.to(spread.device) * spread)
        parameter.copy_(torch.where(new, first, parameter))
        if optimizer is not None:
            zero_momentum(optimizer, parameter, ~new)

    def _lot(self, name: str, like: Tensor, event: int) -> Tensor:
        """A number in [0, 1) a unit."""
        return Random(seed=self._schedule.seed)(like, Statistics(name=name, event=event))

    def _gradients(self) -> dict[str, Tensor]:
        """The gradients of this step, their mean over all ranks; those of the data where there are none."""
        self.check()
        units = self._units
        if self._lacking():
            return collect_gradients(units.model, units.scored, self._data or (), self._loss)
        found = {n: units.parameter(n).grad for n in units.scored}
        return {n: mean_over_ranks([g.detach()]) for n, g in found.items() if g is not None}

    def _lacking(self) -> str | None:
        """A parameter without gradient."""
        return next((n for n in self._units.scored if self._units.parameter(n).grad is None), None)


def find_exchange(units: Units, data: Iterable[Any] | None, loss: Loss | None) -> Exchange | None:
    """The exchange that the schedule of the units' recipe asks for, if it does."""
    schedule = units.recipe.schedule
    if isinstance(schedule, DropGrow) and isinstance(units, LayerUnits):  # a recipe admits it with no other units
        return Exchange(units, schedule, data, loss)
    return None


def _generator(seed: int, event: int, name: str) -> torch.Generator:
    key = hashlib.sha256(f"{seed}/{event}/{name}/new".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:7], "big"))
