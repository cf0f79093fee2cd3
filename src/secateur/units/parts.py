"""The tensors that a learned score trains beside a model's weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ..core.layers import Target
from ..core.statistics import Statistics
from ..score.learned import Learned, Part
from .base import Units
from .gates import find_gates, owners, sizes, squares
from .noise import Noise
from .swap import Swap

__all__ = ["Parts"]


class Parts:
    """Learned numbers, one tensor a target or a weight, and what the model computes with while they are learned.

    Args:
        units: what is pruned.
        score: which learns.

    Raises:
        ModelError: the score cannot learn of this model.
    """

    def __init__(self, units: Units, score: Learned) -> None:
        self.units, self.score = units, score
        self.t = 0
        self.kept: dict[str, Tensor] = {}
        self._drawn: dict[str, Tensor | None] = {}
        self._open: dict[str, Tensor] | None = None
        self._gates = find_gates(units) if score.of_units else {}
        self._gating: dict[str, list[tuple[str, Callable[[Tensor], Tensor]]]] = {n: [(n, _same)] for n in units.scored}
        if self._gates:
            self._gating = {}
            for name, gates in self._gates.items():
                for gate in gates:
                    self._gating.setdefault(gate.parameter, []).append((name, gate.spread))
        held = owners(units.model, self.parameters)
        self._swap = Swap(units.model, held, self.effective)
        self._noise = Noise(held, self.variance) if score.perturbs else None
        self._sizes = {n: sizes(units, n) for n in self._gates}
        self.tensors = {n: nn.Parameter(t) for n, t in self.first().items()}

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that a layer computes otherwise with."""
        return tuple(self._gating)

    def first(self) -> dict[str, Tensor]:
        """The numbers before training."""
        found = {}
        for name in self._gates or self.units.scored:
            shape = self._shape(name) if self._gates else tuple(self.units.parameter(name).shape)
            found[name] = self.score.first(shape, name).to(self._device(name))
        return found

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.units.everything()[name].shape)

    def _device(self, name: str) -> torch.device:
        return self._swap.parameter(self._gates[name][0].parameter if self._gates else name).device

    # ---------------------------------------------------------------- in a forward pass

    def hook(self) -> None:
        """Let the model compute with its numbers."""
        self._swap.on()
        if self._noise is not None:
            self._noise.on()

    def unhook(self) -> None:
        """Let it compute with its weights."""
        self._swap.off()
        if self._noise is not None:
            self._noise.off()

    def part(self, name: str, training: bool) -> Part:
        """What the score sees of one tensor."""
        learned = self.tensors[name]
        if learned.device != self._device(name):  # the model has moved
            learned.data = learned.data.to(self._device(name))
        keep = self.keep.get(name)
        return Part(
            learned=learned,
            weight=None if self._gates else self._swap.parameter(name),
            keep=None if keep is None else keep.to(learned.device),
            noise=self._draw(name) if training else None,
            training=training,
            size=self._size(name),
            squares=functools.partial(squares, self.units, self._gates.get(name, ())),
            share=learned.numel() / sum(t.numel() for t in self.tensors.values()),
            t=self.t,
        )

    def _size(self, name: str) -> Tensor | int:
        size = self._sizes.get(name, 1)
        return size.to(self.tensors[name].device) if isinstance(size, Tensor) else size

    def _draw(self, name: str) -> Tensor | None:
        """One draw a step, the same in every pass of it, a repeated one too (activation checkpoints)."""
        if name not in self._drawn:
            self._drawn[name] = self.score.noise(self.tensors[name].detach())
        return self._drawn[name]

    def effective(self, name: str, weight: Tensor, training: bool) -> Tensor | None:
        """What a layer computes with instead of a parameter; None for the parameter itself."""
        found = weight
        for target, spread in self._gating[name]:
            gate = self.score.gate(self.part(target, training))
            if gate is not None:
                found = found * spread(gate).to(weight.dtype)
        return None if found is weight else found

    def variance(self, name: str) -> Tensor:
        """σ² of each weight in training."""
        variance = self.score.variance(self.part(name, training=True))
        assert variance is not None
        return variance

    def cost(self) -> Tensor | None:
        """What the score adds to the loss."""
        found = [c for n in self.tensors if (c := self.score.cost(self.part(n, training=False))) is not None]
        return torch.stack([c.to(found[0].device) for c in found]).sum() if found else None

    def step(self, t: int) -> None:
        """An optimizer step is done: bring the numbers into their range, and draw anew from now on."""
        with torch.no_grad():
            for tensor in self.tensors.values():
                self.score.clamp_(tensor)
        self.t, self._drawn, self._open = t, {}, None

    # ---------------------------------------------------------------- what they say

    @property
    def keep(self) -> dict[str, Tensor]:
        """Which units or weights are open: those above the score's own threshold, or those the last event kept."""
        at = self.score.threshold_at(self.t)
        if at is None:
            return self.kept
        if self._open is None:
            self._open = {}  # looked at while it is found
            with torch.no_grad():
                layers = self.units.layers(self.pool)
                self._open = self.units.settled({x.name: x.score() > at for x in layers}, layers)
        return self._open

    def pool(self, name: str, event: int = 0) -> Tensor:
        """The score of each unit of a target."""
        if not self._gates:
            return self.units.pool(name, event, {"learned": {n: t.detach() for n, t in self.tensors.items()}})
        learned = self.tensors[name].detach()
        scores = self.score(learned, Statistics(name=name, event=event, learned=learned))
        target = self.units.targets[name]
        if isinstance(target, Target) and scores.shape == target.shape:  # single weights, of which some may be safe
            return self.units.recipe.structure.units(scores, None)
        return scores

    def untaught(self) -> bool:
        """Whether the numbers are still the first."""
        return all(torch.equal(t, self.tensors[n]) for n, t in self.first().items())

    @torch.no_grad()
    def fold(self) -> None:
        """Leave in the weights what the gates of those that are kept make of them."""
        for name in self.parameters:
            weight = self.units.parameter(name)
            for target, spread in self._gating[name]:
                factor = self.score.fold(self.part(target, training=False))
                if factor is not None:
                    weight.mul_(spread(factor).to(weight.dtype))

    def choose(self, keep: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
        """Open these, and no others.

        Args:
            keep: target → its units.
            masks: parameter name → its weights.
        """
        self.kept = dict(keep) if self._gates else {n: masks[n] for n in self.tensors}


def _same(values: Tensor) -> Tensor:
    return values
