"""The pruner: shaped like an optimizer, and the one class that touches a model."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .core.errors import DataError, ModelError, RecipeError
from .core.layers import Layer, Target, find_targets, unwrap
from .core.statistics import Loss, Statistics, collect_gradients
from .core.surgery import adjusted_dropout, dead_neurons, inner_optimizer, zero_momentum
from .goal import Goal
from .recipe import Recipe
from .recovery import Finetune

__all__ = ["Pruner", "prune_"]


class Pruner:
    """Prunes a model by a recipe, in your own loop; the masks live here, as moments live in Adam.

    The model's class, ``state_dict`` keys and ``forward`` stay as they are, and pruned weights are exactly zero.

    Args:
        model: any module; ``torch.compile`` and data-parallel wrappers are looked through.
        recipe: the method.
        target: how far, for the whole model (``Compression(16)``); moves the recipe's schedule.
        data: batches for scores that need data, (inputs, labels) or mappings the model takes; re-iterated at each event.
        loss: ``loss(model, batch)`` → scalar, when the default does not fit the batches.
        optimizer: whose moments of pruned weights to zero at each event.
        keep_momentum: leave those moments as they are.

    Raises:
        ModelError: nothing to prune, a pattern that matches nothing, a target out of reach.

    Example:
        >>> import torch
        >>> from secateur import Pruner, Recipe
        >>> from secateur.schedule import OneShot
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        >>> pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.75)))
        >>> pruner.prune().sparsity, int((model[0].weight == 0).sum())
        (0.75, 48)
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        target: Goal | None = None,
        data: Iterable[Any] | None = None,
        loss: Loss | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        keep_momentum: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"model must be a torch.nn.Module; got {type(model).__name__}")
        if not isinstance(recipe, Recipe):
            raise RecipeError(f"recipe must be a secateur.Recipe; got {type(recipe).__name__}")
        self.model, self.recipe = unwrap(model), recipe
        targets, dense, self._flow = find_targets(
            self.model, include=recipe.include, exclude=recipe.exclude, prune_classifier=recipe.prune_classifier
        )
        misfits = {t.name: r for t in targets if (r := recipe.structure.misfit(t)) is not None}
        self.targets: dict[str, Target] = {t.name: t for t in targets if t.name not in misfits}
        self.dense: dict[str, str] = {**dense, **misfits}
        if not self.targets:
            told = "; ".join(f"{n}: {r}" for n, r in list(misfits.items())[:5])
            raise ModelError(f"structure {recipe.structure.name!r} fits no layer of this model: {told}")
        recipe.allocation.check(list(self.targets))
        recipe.recovery.check(self.model)
        if target is not None:
            self.recipe = recipe.at(target.sparsity(sum(p.numel() for p in self.model.parameters()), self.prunable))
        self.masks: dict[str, Tensor] = {}
        self.t = self.round = self.events = 0
        self._in_rounds = False
        self._hook: Any = None
        self._data, self._loss = data, loss
        self._optimizer = None if optimizer is None else inner_optimizer(optimizer)
        self._keep_momentum = keep_momentum
        self._dropout: dict[str, float] = {}
        self._snapshot: dict[str, Tensor] | None = None
        self._take_snapshot()

    # ---------------------------------------------------------------- driving it

    def prune(self, sparsity: float | None = None) -> Pruner:
        """Prune now.

        Args:
            sparsity: fraction of the prunable parameters removed afterwards; None for the schedule's final one.

        Raises:
            DataError: the score needs gradients and there are none.
        """
        goal = self.recipe.schedule.final if sparsity is None else sparsity
        most = 1.0 if self.recipe.allocation.fixed else self.recipe.structure.max_sparsity
        if not 0 <= goal <= most + 1e-12:
            raise RecipeError(f"sparsity is the fraction removed, ≥ 0 and ≤ {most:g} for this structure; got {sparsity!r}")
        statistics = self._statistics()
        layers = [self._layer(t, statistics[t.name]) for t in self.targets.values()]
        with torch.no_grad():
            keep = self.recipe.allocation(layers, goal, self.recipe.schedule.final)
            for layer in layers:
                self._set_mask(self.targets[layer.name], layer, keep[layer.name])
            self._after_masks()
        self.events += 1
        return self

    def step(self) -> None:
        """Call after ``optimizer.step()``: prunes when the schedule says so, and keeps pruned weights at zero."""
        if not self._in_rounds:  # there the rounds prune, and training in between, the dense round's too, is left alone
            if self.t == 0 and self.events == 0:
                self._check_statistics(at_start=False)
                self._prune_if(self.recipe.schedule.at_step(0))
            self._prune_if(self.recipe.schedule.at_step(self.t + 1))
        self.t += 1
        self.apply()
        self._take_snapshot()

    def attach(self, optimizer: torch.optim.Optimizer) -> Pruner:
        """Call ``step()`` after every step of this optimizer, and of no other, from now on, for loops one does not own."""
        if self._hook is not None:  # a trainer that starts twice attaches twice: a step must count once
            self._hook.remove()
        self._hook = inner_optimizer(optimizer).register_step_post_hook(lambda *_: self.step())
        return self.watch(optimizer)

    def watch(self, optimizer: torch.optim.Optimizer) -> Pruner:
        """Zero this optimizer's moments of pruned weights from now on (a loop that makes a new optimizer each round)."""
        self._optimizer = inner_optimizer(optimizer)
        return self

    def rounds(self) -> Iterator[float]:
        """``for sparsity in pruner.rounds(): train(model)``: the dense round first, then each round of the schedule.

        A pruner whose state was loaded goes on with the round it was saved in.

        Raises:
            RecipeError: the schedule does not count rounds.
        """
        schedule = self.recipe.schedule
        if "rounds" not in schedule.counts:
            raise RecipeError(
                f"rounds() needs a schedule that counts rounds (iterative, one_shot); {schedule.name!r} prunes while training: "
                "call pruner.step() after optimizer.step()"
            )
        self._check_statistics(at_start=True)
        self._in_rounds = True
        yield self.sparsity
        while (sparsity := schedule.at_round(self.round + 1)) is not None:
            self.prune(sparsity)
            self._restore()
            self.round += 1
            yield self.sparsity

    @torch.no_grad()
    def apply(self, model: nn.Module | None = None) -> None:
        """Set pruned weights to zero, in the pruner's model or in another with the same parameters (an average, a copy)."""
        other = self.model if model is None else unwrap(model)
        for name, mask in self.masks.items():
            parameter = _parameter(other, name)
            if mask.device != parameter.device:
                mask = self.masks[name] = mask.to(parameter.device)
            parameter.masked_fill_(~mask, 0)

    # ---------------------------------------------------------------- looking at it

    @property
    def prunable(self) -> int:
        """Parameters that can be pruned, biases and norms that go with a unit included."""
        return sum(_parameter(self.model, n).numel() for n in self._prunable_names())

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable parameters that is pruned."""
        masks = [self.masks[n] for n in self._prunable_names() if n in self.masks]
        return sum(m.numel() - int(m.sum()) for m in masks) / self.prunable

    def __rich__(self) -> Any:
        from .core.show import pruner_table

        return pruner_table(self)

    def __repr__(self) -> str:
        from .core.show import as_text

        return as_text(self.__rich__())

    # ---------------------------------------------------------------- keeping it

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: plain values and tensors, so that ``torch.load(weights_only=True)`` reads it."""
        return {
            "recipe": self.recipe.to_dict(),
            "t": self.t,
            "round": self.round,
            "events": self.events,
            "masks": {n: m.clone() for n, m in self.masks.items()},
            "dropout": dict(self._dropout),
            "snapshot": None if self._snapshot is None else dict(self._snapshot),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state: counters, masks and snapshot; the model's weights are loaded by you, and masked here.

        Raises:
            ModelError: the state is of another model or recipe, or no state at all.
        """
        for part in ("recipe", "t", "round", "events", "masks", "dropout", "snapshot"):
            if part not in state:
                raise ModelError(f"this is no state of a pruner: it lacks {part!r}; pass what pruner.state_dict() gave")
        recipe = Recipe.from_dict(state["recipe"])
        if recipe != self.recipe:
            theirs, ours = recipe.to_dict(minimal=True), self.recipe.to_dict(minimal=True)
            raise ModelError(f"this state is of another recipe: {theirs}; this pruner has {ours}")
        known = self._prunable_names() | {f"{n}.bias" for n in self._flow.next_layer}
        for name, mask in state["masks"].items():
            if name not in known or mask.shape != _parameter(self.model, name).shape:
                raise ModelError(f"this state is of another model: it has a mask of shape {list(mask.shape)} for {name!r}")
        self.t, self.round, self.events = state["t"], state["round"], state["events"]
        self.masks = {n: m.to(_parameter(self.model, n).device) for n, m in state["masks"].items()}
        self._dropout = dict(state["dropout"])
        self._snapshot = state["snapshot"]
        self._set_dropout()
        self.apply()

    # ---------------------------------------------------------------- how it works

    def _names(self, target: Target) -> tuple[str, ...]:
        return (target.name, *target.followers) if self.recipe.structure.followers else (target.name,)

    def _prunable_names(self) -> set[str]:
        return {n for t in self.targets.values() for n in self._names(t)}

    def _layer(self, target: Target, statistics: Statistics) -> Layer:
        weight = _oriented(_parameter(self.model, target.name).detach(), target)
        mask = self.masks.get(target.name)
        mask = None if mask is None else _oriented(mask, target)
        units = self.recipe.structure.count(target.shape)
        size = weight.numel() + sum(_parameter(self.model, n).numel() for n in self._names(target)[1:])
        score = functools.partial(_unit_scores, self.recipe, weight, statistics, mask)
        return Layer(name=target.name, weight=weight, mask=mask, score=score, units=units, cost=size // units)

    def _set_mask(self, target: Target, layer: Layer, keep: Tensor) -> None:
        mask = _oriented(self.recipe.structure.spread(keep, target.shape), target)
        for name in self._names(target):
            found = mask if name == target.name else keep
            before = self.masks.get(name)
            self.masks[name] = found.contiguous() if before is None else found & before  # what is gone stays gone
        if not bool(keep.any()):
            warnings.warn(f"pruning emptied the layer {target.name!r}: nothing passes through it any more", stacklevel=4)

    def _after_masks(self) -> None:
        recovery = self.recipe.recovery
        if isinstance(recovery, Finetune) and recovery.drop_dead:
            oriented = {n: _oriented(m, self.targets[n]) if n in self.targets else m for n, m in self.masks.items()}
            for name, mask in dead_neurons(self.model, self._flow, oriented).items():
                self.masks[name] = _oriented(mask, self.targets[name]).contiguous() if name in self.targets else mask
        self.apply()
        if isinstance(recovery, Finetune) and recovery.adjust_dropout:
            self._set_dropout()
        if self._optimizer is not None and not self._keep_momentum:
            for name, mask in self.masks.items():
                zero_momentum(self._optimizer, _parameter(self.model, name), mask)

    def _set_dropout(self) -> None:
        if isinstance(self.recipe.recovery, Finetune) and self.recipe.recovery.adjust_dropout:
            for name, rate in adjusted_dropout(self.model, self._flow, self.masks, self._dropout).items():
                self.model.get_submodule(name).p = rate  # type: ignore[assignment]

    def _restore(self) -> None:
        recovery = self.recipe.recovery
        recovery.restore(self.model, self._snapshot)
        self.t = recovery.resume_at
        if recovery.restarts and self._optimizer is not None:
            self._optimizer.state.clear()
        self.apply()

    def _take_snapshot(self) -> None:
        if self._snapshot is None and self.round == 0 and self.t == self.recipe.recovery.snapshot_at:
            self._snapshot = {n: v.detach().clone() for n, v in self.model.state_dict().items()}

    def _prune_if(self, sparsity: float | None) -> None:
        if sparsity is not None:
            self.prune(sparsity)

    def _check_statistics(self, *, at_start: bool) -> None:
        if "gradient" not in self.recipe.score.needs or self._data is not None:
            return
        if at_start or any(_parameter(self.model, n).grad is None for n in self.targets):
            raise DataError(
                f"score {self.recipe.score.name!r} needs gradients; pass Pruner(model, recipe, data=batches), or call "
                "pruner.step() between optimizer.step() and optimizer.zero_grad()"
            )

    def _statistics(self) -> dict[str, Statistics]:
        self._check_statistics(at_start=False)
        gradients: dict[str, Tensor] = {}
        if "gradient" in self.recipe.score.needs:
            if self._data is not None:
                gradients = collect_gradients(self.model, list(self.targets), self._data, self._loss)
            else:
                gradients = {n: g for n in self.targets if (g := _parameter(self.model, n).grad) is not None}
        return {
            n: Statistics(name=n, event=self.events, gradient=_oriented(gradients[n], t) if n in gradients else None)
            for n, t in self.targets.items()
        }


def prune_(
    model: nn.Module,
    recipe: Recipe,
    *,
    target: Goal | None = None,
    data: Iterable[Any] | None = None,
    loss: Loss | None = None,
    train: Callable[[nn.Module], object] | None = None,
) -> Pruner:
    """Prune a model in one call, in place.

    Args:
        model: any module; its weights are changed, its class, keys and ``forward`` are not.
        recipe: the method; its schedule counts rounds (``OneShot``, ``Iterative``).
        target: how far, for the whole model (``Compression(16)``).
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
    pruner = Pruner(model, recipe, target=target, data=data, loss=loss)
    for r, _ in enumerate(pruner.rounds()):
        if r and train is not None:
            train(model)
            pruner.apply()
    return pruner


def _parameter(model: nn.Module, name: str) -> Tensor:
    return model.get_parameter(name)


def _oriented(tensor: Tensor, target: Target) -> Tensor:
    """With the output dimension first, or back: the exchange is its own inverse."""
    return tensor.transpose(0, 1) if target.transposed else tensor


def _unit_scores(recipe: Recipe, weight: Tensor, statistics: Statistics, mask: Tensor | None) -> Tensor:
    weight = weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight
    return recipe.structure.units(recipe.score(weight, statistics), mask)
