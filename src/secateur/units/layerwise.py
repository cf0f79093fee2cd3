"""Units of each layer by itself: what one weight says, seen with its output dimension first."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ModelError
from ..core.layers import Layer, Target, find_targets
from ..recipe import Recipe
from .base import Choice, Found, Pool, Units

__all__ = ["LayerUnits"]


class LayerUnits(Units):
    """The units of a model's weights, layer by layer, with the parameters that follow them.

    Raises:
        ModelError: nothing to prune, or a pattern that matches nothing.
    """

    targets: dict[str, Target]

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        targets, dense, self.flow = find_targets(
            model, include=recipe.include, exclude=recipe.exclude, prune_classifier=recipe.prune_classifier
        )
        misfits = {t.name: r for t in targets if (r := recipe.structure.misfit(t)) is not None}
        self.targets = {t.name: t for t in targets if t.name not in misfits}
        self.dense = {**dense, **misfits}
        if not self.targets:
            told = "; ".join(f"{n}: {r}" for n, r in list(misfits.items())[:5])
            raise ModelError(f"structure {recipe.structure.name!r} fits no layer of this model: {told}")

    @property
    def maskable(self) -> frozenset[str]:
        """The targets, what follows them, and the biases of dead neurons."""
        return frozenset(self._prunable | {f"{n}.bias" for n in self.flow.next_layer})

    @property
    def scored(self) -> tuple[str, ...]:
        """The targets."""
        return tuple(self.targets)

    @property
    def prunable(self) -> int:
        """Weights of the targets, and of what follows them where a unit takes it along."""
        return sum(self.parameter(n).numel() for n in self._prunable)

    @property
    def removed(self) -> int:
        """Of these, how many the masks remove."""
        masks = [self.masks[n] for n in self._prunable if n in self.masks]
        return sum(m.numel() - int(m.sum()) for m in masks)

    @property
    def _prunable(self) -> set[str]:
        return {n for t in self.targets.values() for n in self._names(t)}

    def _names(self, target: Target) -> tuple[str, ...]:
        return (target.name, *target.followers) if self.recipe.structure.followers else (target.name,)

    def oriented(self, name: str, tensor: Tensor) -> Tensor:
        """With the output dimension first."""
        return tensor.transpose(0, 1) if name in self.targets and self.targets[name].transposed else tensor

    def pool(self, name: str, event: int, found: Found) -> Tensor:
        """The structure's units of the weights' scores; −inf for units that are gone."""
        scores = self.scores(name, event, found, functools.partial(self.oriented, name))
        return self.recipe.structure.units(scores, self._seen(name)[1])

    def layers(self, pool: Pool) -> list[Layer]:
        """One a target; scores are found when they are asked for."""
        return [self._layer(t, functools.partial(pool, t.name)) for t in self.targets.values()]

    def _layer(self, target: Target, score: Any) -> Layer:
        weight, mask = self._seen(target.name)
        units = self.recipe.structure.count(target.shape)
        size = weight.numel() + sum(self.parameter(n).numel() for n in self._names(target)[1:])
        return Layer(name=target.name, weight=weight, mask=mask, score=score, units=units, cost=size // units)

    def _seen(self, name: str) -> tuple[Tensor, Tensor | None]:
        mask = self.masks.get(name)
        return self.oriented(name, self.parameter(name).detach()), None if mask is None else self.oriented(name, mask)

    def settled(self, keep: Choice, layers: list[Layer]) -> dict[str, Tensor]:
        """The choice itself."""
        return dict(keep)

    def remove(self, keep: Choice) -> None:
        """Spread the choice over weights and followers; what is gone stays gone."""
        self.masks.update(self.masks_for(keep))
        for name in self.targets:
            if not bool(keep[name].any()):
                warnings.warn(f"pruning emptied the layer {name!r}: nothing passes through it any more", stacklevel=4)

    def masks_for(self, keep: Choice) -> dict[str, Tensor]:
        """The masks of a choice and of what was gone before."""
        before = self.masks
        return {**before, **{n: m & before[n] if n in before else m for n, m in self._spread(keep).items()}}

    def replace(self, keep: Choice) -> None:
        """Keep these units, also where they were gone before: the one way to masks that are not nested."""
        self.masks.update(self._spread(keep))

    def _spread(self, keep: Choice) -> dict[str, Tensor]:
        """The masks of a choice alone."""
        masks: dict[str, Tensor] = {}
        for name, target in self.targets.items():
            mask = self.oriented(name, self.recipe.structure.spread(keep[name], target.shape))
            masks |= {n: (mask if n == name else keep[name]).contiguous() for n in self._names(target)}
        return masks

    def left(self, keep: Choice) -> dict[str, int]:
        """How many weights of each parameter a choice would leave."""
        counts = {n: p.numel() for n, p in self.model.named_parameters()}
        return counts | {n: int(m.sum()) for n, m in self.masks_for(keep).items()}

    def everything(self) -> dict[str, Tensor]:
        """All units."""
        return {n: self._unscored(t) > -1 for n, t in self.targets.items()}

    def least(self) -> dict[str, Tensor]:
        """Nothing but the units that the structure must leave."""
        return {n: self._unscored(t) > 1 for n, t in self.targets.items()}

    def _unscored(self, target: Target) -> Tensor:
        """One 0 a unit, +inf where it must stay."""
        device = self.parameter(target.name).device
        return self.recipe.structure.units(torch.zeros(target.shape, device=device), None)

    def rows(self) -> list[tuple[str, str, int | None, float | None, str]]:
        """Every parameter that could be pruned, in the model's order."""
        rows: list[tuple[str, str, int | None, float | None, str]] = []
        for name, p in self.model.named_parameters():
            if name in self.targets or name in self.dense:
                left = int(self.masks[name].sum()) if name in self.masks else p.numel()
                sparsity = 1 - left / p.numel() if name in self.targets else None
                rows.append((name, "×".join(map(str, p.shape)), left, sparsity, self.dense.get(name, "")))
        return rows

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the masks."""
        if "units" in state:
            raise ModelError("this state is of a pruner with example_inputs, whose units are coupled; give this one them too")
        known = self.maskable
        for name, mask in state["masks"].items():
            if name not in known or mask.shape != self.parameter(name).shape:
                raise ModelError(f"this state is of another model: it has a mask of shape {list(mask.shape)} for {name!r}")
        self.masks = {n: m.to(self.parameter(n).device) for n, m in state["masks"].items()}
