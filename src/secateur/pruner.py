"""The pruner: shaped like an optimizer, and the one class that touches a model."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .core.errors import DataError, ModelError, RecipeError
from .core.layers import Layer, unwrap
from .core.statistics import Loss
from .core.surgery import adjusted_dropout, dead_neurons, inner_optimizer, zero_, zero_momentum
from .goal import Compression, Goal, Limit
from .recipe import Recipe
from .recovery import Finetune, recalibrate_
from .units.aim import Aim
from .units.branches import BranchUnits
from .units.coupled import GroupUnits
from .units.evidence import Evidence
from .units.exchange import find_exchange
from .units.find import find_units
from .units.layerwise import LayerUnits
from .units.learned import Life
from .units.refit import refit_

__all__ = ["Pruner"]


class Pruner:
    """Prunes a model by a recipe, in your own loop; the masks live here, as moments live in Adam.

    The model's class, ``state_dict`` keys and ``forward`` stay as they are, and pruned weights are exactly zero.

    Args:
        model: any module; ``torch.compile`` and data-parallel wrappers are looked through.
        recipe: the method.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments that ``forward`` takes;
            with them whole units (filters, neurons, heads) are removed over all layers they reach.
        target: how far, for the whole model (``Compression(16)``, ``Macs(0.5)``); moves the recipe's schedule.
        data: batches for scores that need data, (inputs, labels) or mappings the model takes; re-iterated at each event.
        loss: ``loss(model, batch)`` → scalar, when the default does not fit the batches.
        optimizer: whose moments of pruned weights to zero at each event, and which trains what a learned score learns.
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
        example_inputs: Any = None,
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
        self._units, self._meter = find_units(self.model, recipe, example_inputs)
        recipe.allocation.check(list(self.targets))
        recipe.recovery.check(self.model)
        if recipe.recovery.recalibration and data is None:
            what = f"recovery {recipe.recovery.name!r} recalibrates batch norms on training data"
            raise DataError(f"{what}; pass Pruner(model, recipe, data=...)")
        self._aim: Aim | None = None
        if target is not None:
            self._take_target(target)
        self.t = self.round = self.events = 0
        self._in_rounds = False
        self._hook: Any = None
        self._data, self._loss = data, loss
        self._evidence = Evidence(self._units, data, loss, example_inputs)
        self._exchange = find_exchange(self._units, data, loss)
        self._optimizer: torch.optim.Optimizer | None = None
        self._keep_momentum = keep_momentum
        self._dropout: dict[str, float] = {}
        self._snapshot: dict[str, Tensor] | None = None
        self._take_snapshot()
        self._life = Life(self._units)
        if optimizer is not None:
            self.watch(optimizer)

    # ---------------------------------------------------------------- driving it

    def prune(self, sparsity: float | None = None) -> Pruner:
        """Prune now.

        Args:
            sparsity: fraction of the prunable parameters removed afterwards; None for the schedule's final one, or the target.

        Raises:
            DataError: the score needs gradients and there are none.
        """
        if sparsity is None:
            return self._event(self.recipe.schedule.final, self._aim, last=True)
        return self._event(sparsity, None, last=False)

    def finish(self) -> Pruner:
        """End a learned score before its schedule does: prune by it, fold its gates in, drop its tensors and hooks."""
        return self.prune() if self._life.on else self

    def step(self) -> None:
        """Call after ``optimizer.step()``: prunes when the schedule says so, and keeps pruned weights at zero."""
        if self._exchange is not None and self.t == 0:
            self._exchange.check()
        self._life.step(self.t + 1)
        if not self._in_rounds:  # there the rounds prune, and training in between, the dense round's too, is left alone
            if self.t == 0 and self.events == 0:
                self._evidence.check(at_start=False)
                self._prune_if(0)
            self._prune_if(self.t + 1)
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
        """Zero this optimizer's moments of pruned weights from now on (a loop that makes a new optimizer each round).

        It also gets what a learned score learns, as its own group: call this before you make a learning-rate scheduler.
        """
        self._optimizer = inner_optimizer(optimizer)
        self._life.join(self._optimizer)
        return self

    def parameters(self) -> list[nn.Parameter]:
        """What a learned score trains beside the weights, for your optimizer (``watch`` adds it): nothing for the others."""
        return list(self._life.tensors.values())

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
        self._evidence.check(at_start=True)
        self._in_rounds = True
        yield self.sparsity
        while (sparsity := schedule.at_round(self.round + 1)) is not None:
            if not self._life.over:
                self._event(sparsity, self._aim, last=schedule.at_round(self.round + 2) is None)
            self._restore()
            self.round += 1
            yield self.sparsity

    @torch.no_grad()
    def apply(self, model: nn.Module | None = None) -> None:
        """Set pruned weights to zero, in the pruner's model or in another with the same parameters (an average, a copy)."""
        other = self.model if model is None else unwrap(model)
        for name, mask in () if self._life.on else self.masks.items():  # gates that are shut may open again
            parameter = other.get_parameter(name)
            if mask.device != parameter.device:
                mask = self.masks[name] = mask.to(parameter.device)
            zero_(parameter, mask)

    def penalty(self) -> Tensor | float:
        """What your loop adds to its loss until all is pruned: λ·Σ|w|^p for ``Magnitude(p, penalty=λ)``, 0 for most scores."""
        if self._life.on:
            return self._life.penalty(self.t)
        schedule = self.recipe.schedule
        over = schedule.at_round(self.round + 1) is None if self._in_rounds else self.t >= schedule.last_step
        if self.events and over:
            return 0.0
        found = (self.recipe.score.regulariser(self._units.parameter(n)) for n in self._units.scored)
        return sum((f for f in found if f is not None), 0.0)

    # ---------------------------------------------------------------- looking at it

    def preview(
        self, sparsities: Iterable[float], quantities: Iterable[str] = ("params", "macs", "bytes"), device: str = "cpu"
    ) -> list[dict[str, float]]:
        """What pruning to each of some sparsities would leave; nothing is pruned.

        Args:
            sparsities: fractions removed.
            quantities: what to count, of ``params``, ``macs``, ``bytes``, ``latency`` (milliseconds, measured).
            device: where to time.
        """
        layers, wanted = self._life.layers(self.events) or self._evidence.layers(self.events), tuple(quantities)
        with torch.no_grad(), self._life.bare():
            choices = [self._keep(layers, s) for s in sparsities]
            return [{q: self._meter.measure(q, keep, device) for q in wanted} for keep in choices]

    @property
    def targets(self) -> Mapping[str, Any]:
        """What is pruned: parameters, or coupled groups, by name."""
        return self._units.targets

    @property
    def dense(self) -> dict[str, str]:
        """What stays dense, and why."""
        return self._units.dense

    @property
    def masks(self) -> dict[str, Tensor]:
        """Parameter name → what is left of it."""
        return self._units.masks

    @property
    def plan(self) -> dict[str, list[int]]:
        """Coupled group → the units that are gone; what ``shrink_`` takes.

        Raises:
            ModelError: the units are of single layers.
        """
        if not isinstance(self._units, GroupUnits | BranchUnits):
            raise ModelError("a plan is of coupled units; pass Pruner(model, recipe, example_inputs=...) and a structure of them")
        return self._units.plan()

    @property
    def prunable(self) -> int:
        """Parameters that can be pruned, biases and norms that go with a unit included."""
        return self._units.prunable

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable parameters that is pruned; of coupled units, those they own, not those that read them."""
        return self._units.removed / self.prunable

    def __rich__(self) -> Any:
        from .core.show import pruner_table

        return pruner_table(self, self._units.rows())

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
            **self._units.state_dict(),
            "target": None if self._aim is None else self._aim.goal.to_dict(),
            "dropout": dict(self._dropout),
            "snapshot": None if self._snapshot is None else dict(self._snapshot),
            "learned": self._life.state_dict(),
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
        target = None if self._aim is None else self._aim.goal.to_dict()
        if state.get("target") != target:
            raise ModelError(f"this state is of a pruner with target {state.get('target')}; this pruner has {target}")
        self._units.load_state_dict(state)
        self.t, self.round, self.events = state["t"], state["round"], state["events"]
        self._dropout = dict(state["dropout"])
        self._snapshot = state["snapshot"]
        self._set_dropout()
        self._life.load_state_dict(state.get("learned"), self.t)
        self.apply()

    # ---------------------------------------------------------------- how it works

    def _take_target(self, target: Goal) -> None:
        counted = isinstance(target, Compression) and isinstance(self._units, GroupUnits | BranchUnits)
        if not counted and not isinstance(target, Limit):
            self.recipe = self.recipe.at(target.sparsity(sum(p.numel() for p in self.model.parameters()), self.prunable))
            return
        self.recipe.at(self.recipe.schedule.final)  # refuses an allocation that no target moves
        self._aim = Aim(target, self._meter, self.recipe.structure.max_sparsity)  # type: ignore[arg-type]

    def _event(self, sparsity: float, aim: Aim | None, *, last: bool) -> Pruner:
        """Prune to a sparsity; with an aim, to what the aim wants when the schedule is there.

        A learned score ends with the last event; until then what it shuts may open again.
        """
        most, final = self._most, self.recipe.schedule.final
        if not 0 <= sparsity <= most + 1e-12:
            raise RecipeError(f"sparsity is the fraction removed, ≥ 0 and ≤ {most:g} for this structure; got {sparsity!r}")
        with self._life.bare():
            self._life.reopen(sparsity)
            for now in self.recipe.schedule.passes(self.sparsity, sparsity):
                layers = self._life.layers(self.events) or self._evidence.layers(self.events)
                with torch.no_grad():
                    if aim is None:
                        keep = self._keep(layers, now)
                    else:
                        keep = aim.choose(functools.partial(self._keep, layers), now / final if final else 1.0)
                    self._units.remove(keep)
                    refit_(self._units, self._evidence.moments)
                    self.apply()
                self.events += 1
            with torch.no_grad():
                if self._life.settle(keep, last):
                    self._after_masks()
        return self

    @property
    def _most(self) -> float:
        return 1.0 if self.recipe.allocation.fixed else self.recipe.structure.max_sparsity

    def _keep(self, layers: list[Layer], sparsity: float) -> dict[str, Tensor]:
        keep = self.recipe.allocation(layers, sparsity, self.recipe.schedule.final)
        if self._exchange is not None:
            keep = self._exchange.drawn(keep, layers, self.events)
        return self._units.settled(keep, layers)

    def _after_masks(self) -> None:
        recovery = self.recipe.recovery
        if isinstance(recovery, Finetune) and recovery.drop_dead and isinstance(self._units, LayerUnits):  # others leave none
            oriented = {n: self._units.oriented(n, m) for n, m in self.masks.items()}
            for name, mask in dead_neurons(self.model, self._units.flow, oriented).items():
                self.masks[name] = self._units.oriented(name, mask).contiguous()
        self.apply()
        if recovery.recalibration:
            recalibrate_(self.model, self._data or (), examples=recovery.recalibration, loss=self._loss)
        if isinstance(recovery, Finetune) and recovery.adjust_dropout:
            self._set_dropout()
        if self._optimizer is not None and not self._keep_momentum:
            for name, mask in self.masks.items():
                zero_momentum(self._optimizer, self.model.get_parameter(name), mask)

    def _set_dropout(self) -> None:
        if isinstance(self.recipe.recovery, Finetune) and self.recipe.recovery.adjust_dropout:
            for name, rate in adjusted_dropout(self.model, self._units.flow, self.masks, self._dropout).items():
                self.model.get_submodule(name).p = rate  # type: ignore[assignment]

    def _restore(self) -> None:
        recovery = self.recipe.recovery
        recovery.restore(self.model, self._snapshot)
        self.t = recovery.resume_at
        if recovery.restarts:
            self._life.restart()
            if self._optimizer is not None:
                self._optimizer.state.clear()
        self.apply()

    def _take_snapshot(self) -> None:
        if self._snapshot is None and self.round == 0 and self.t == self.recipe.recovery.snapshot_at:
            self._snapshot = {n: v.detach().clone() for n, v in self.model.state_dict().items()}

    def _prune_if(self, t: int) -> None:
        sparsity = self.recipe.schedule.at_step(t)
        if sparsity is None or self._life.over:
            return
        if self._exchange is not None and self.events:
            layers = self._evidence.layers(self.events)
            with torch.no_grad():
                self._exchange(layers, self.t + 1, self.events, self._optimizer)
                self._after_masks()
            self.events += 1
        else:
            self._event(sparsity, self._aim, last=t >= self.recipe.schedule.last_step)
