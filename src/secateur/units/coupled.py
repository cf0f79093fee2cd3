"""Units that reach over several layers: the coupled groups of a traced model."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..core.coupling import Coupling
from ..core.errors import ModelError
from ..core.flow import read_flow
from ..core.layers import Layer
from ..core.select import keep_largest
from ..recipe import Recipe
from ..structure import Coupled
from .base import Choice, Found, Pool, Units
from .facts import couplings, is_scale

if TYPE_CHECKING:
    from ..graph.groups import Group, Groups, Member

__all__ = ["GroupUnits", "Place"]


@dataclass(frozen=True, eq=False)
class Place:
    """A parameter's dimension in which units own indices.

    Args:
        parameter: its name.
        dim: the dimension.
        role: as the group says, or ``scale`` for a norm's.
        table: ``[units, indices of a unit]``, filled up with 0.
        there: False where the table is filled up; None when nothing is.
    """

    parameter: str
    dim: int
    role: str
    table: Tensor
    there: Tensor | None

    def of(self, units: Tensor) -> Tensor:
        """The indices that some units own."""
        rows = self.table[units]
        return rows.flatten() if self.there is None else rows[self.there[units]]

    @property
    def counts(self) -> Tensor:
        """How many indices each unit owns."""
        there = torch.ones_like(self.table) if self.there is None else self.there
        return there.sum(1)

    def turned(self, weight: Tensor) -> tuple[Tensor, int]:
        """The weight with its output dimension first, and where the units' dimension is then."""
        reads = int(self.role == "consumer" and weight.ndim > 1)
        return weight.movedim(self.dim, reads), reads


class GroupUnits(Units):
    """The units of a model's coupled groups.

    A unit owns the parameters that make it and travel with it, which is what sparsity counts; its mask also covers the
    weights that read it, so that it stays dead whatever training does.

    Args:
        model: the model.
        recipe: the recipe, with a structure whose units couple.
        groups: the model's groups.

    Raises:
        ModelError: no group fits, or a pattern matches nothing.
    """

    targets: dict[str, Coupling]

    def __init__(self, model: nn.Module, recipe: Recipe, groups: Groups) -> None:
        super().__init__(model, recipe)
        self.structure = cast(Coupled, recipe.structure)
        self.flow = read_flow(model)
        parameters = dict(model.named_parameters())
        facts = couplings(model, groups)
        self._check_patterns(groups, facts)
        self.places: dict[str, list[Place]] = {}
        modules = dict(model.named_modules())
        for g in groups.prunable:
            self.places[g.name] = [_place(m, g.units, modules) for m in g.members if m.parameter in parameters]
        self.dense = {g.name: why for g in groups if (why := self._why_dense(g, facts[g.name], groups)) is not None}
        self._uncross(groups)
        self.targets = {g.name: facts[g.name] for g in groups if g.name not in self.dense}
        if not self.targets:
            told = "; ".join(f"{n}: {r}" for n, r in list(self.dense.items())[:5]) or "it has none"
            raise ModelError(f"structure {recipe.structure.name!r} fits no coupled group of this model: {told}")
        self.alive = {n: torch.ones(t.units, dtype=torch.bool) for n, t in self.targets.items()}
        self.costs = {n: self._cost(n) for n in self.targets}
        self._masked = sorted({p.parameter for n in self.targets for p in self.places[n]})

    # ---------------------------------------------------------------- which groups

    def _check_patterns(self, groups: Groups, facts: Mapping[str, Coupling]) -> None:
        known = [*facts, *(n for n, _ in self.model.named_parameters(remove_duplicate=False))]
        for pattern in (*self.recipe.include, *self.recipe.exclude):
            if not any(fnmatch(n, pattern) for n in known):
                raise ModelError(
                    f"the pattern {pattern!r} matches no group and no parameter; the model's groups are "
                    f"{', '.join([g.name for g in groups][:8])}, …"
                )

    def _named(self, group: Group, groups: Groups, patterns: tuple[str, ...]) -> bool:
        makers = {m.parameter for m in group.members if m.role in ("producer", "both")}
        names = [group.name, *makers, *(other for other, first in groups.tied.items() if first in makers)]
        return any(fnmatch(n, p) for n in names for p in patterns)

    def _why_dense(self, group: Group, facts: Coupling, groups: Groups) -> str | None:
        """The reason to leave a group alone, or None."""
        if self._named(group, groups, self.recipe.exclude):
            return "excluded by name"
        if group.reason:
            return group.reason
        if not facts.kinds:
            return "no weight makes its units"
        if not self._chosen(group.name):
            return f"it has no {self.structure.members} to be scored on"
        misfit = self.structure.misfit_group(facts)
        if misfit is not None or self._named(group, groups, self.recipe.include):
            return misfit
        if facts.kinds == {"table"}:
            return "embedding (include it by name to prune it)"
        if facts.inside:
            return f"it lies inside the heads of {facts.inside!r} (include it by name to prune it)"
        if facts.statistics:
            return f"{facts.statistics[0]} averages over it, so a mask is not yet a cut (include it by name to prune it)"
        return None

    def _uncross(self, groups: Groups) -> None:
        """Of groups that share indices only the one with the most units is pruned, and those asked for by name."""
        taken: set[str] = set()
        fitting = [g for g in groups if g.name not in self.dense]
        for g in sorted(fitting, key=lambda g: -g.units):
            rival = next((c for c in g.crosses if c in taken), None)
            if rival is not None and not self._named(g, groups, self.recipe.include):
                self.dense[g.name] = f"it shares indices with {rival!r}, which has more units (include it by name to prune it)"
            else:
                taken.add(g.name)

    def _chosen(self, name: str) -> list[Place]:
        """The places on whose weights a group is scored."""
        roles = {"producers": ("producer", "both"), "consumers": ("consumer", "both"), "scales": ("scale",)}
        wanted = roles.get(self.structure.members)
        return [p for p in self.places[name] if wanted is None or p.role in wanted]

    # ---------------------------------------------------------------- what they hold

    def _cost(self, name: str) -> Tensor:
        """Parameters each unit owns: what makes it, and what travels with it."""
        cost = torch.zeros(self.targets[name].units, dtype=torch.long)
        for p in self.places[name]:
            if p.role != "consumer":
                parameter = self.parameter(p.parameter)
                cost += p.counts * (parameter.numel() // parameter.shape[p.dim])
        return cost

    @property
    def maskable(self) -> frozenset[str]:
        """All parameters in which a unit owns something."""
        return frozenset(self._masked)

    @property
    def scored(self) -> tuple[str, ...]:
        """The parameters of the members that the structure names."""
        return tuple(dict.fromkeys(p.parameter for n in self.targets for p in self._chosen(n)))

    @property
    def prunable(self) -> int:
        """What the units own."""
        return sum(int(c.sum()) for c in self.costs.values())

    @property
    def removed(self) -> int:
        """What the units that are gone owned."""
        return sum(int(c[~self.alive[n]].sum()) for n, c in self.costs.items())

    # ---------------------------------------------------------------- choosing

    def pool(self, name: str, event: int, found: Found) -> Tensor:
        """One number a unit, over the members that the structure names."""
        return self.structure.combine([self._pooled(p, event, found) for p in self._chosen(name)])

    def _pooled(self, place: Place, event: int, found: Found) -> Tensor:
        scores = self.scores(place.parameter, event, found, lambda t: place.turned(t)[0])
        dim = int(place.role == "consumer" and scores.ndim > 1)
        scores = scores.movedim(dim, 0).flatten(1) if scores.ndim > 1 else scores[:, None]
        table = place.table.to(scores.device)
        there = None if place.there is None else place.there.to(scores.device).repeat_interleave(scores.shape[1], 1)
        return self.structure.member(scores[table].flatten(1), there)

    def layers(self, pool: Pool) -> list[Layer]:
        """One a group; the best of its units must stay."""
        layers = []
        for name, facts in self.targets.items():
            first = self.places[name][0]
            weight = first.turned(self.parameter(first.parameter).detach())[0]
            mask = self.masks.get(first.parameter)
            mask = None if mask is None else first.turned(mask)[0]
            score = functools.cache(functools.partial(self._final, name, pool))
            cost = max(1, round(int(self.costs[name].sum()) / facts.units))
            layers.append(Layer(name=name, weight=weight, mask=mask, score=score, units=facts.units, cost=cost))
        return layers

    def _final(self, name: str, pool: Pool) -> Tensor:
        alive = self.alive[name]
        scores = self.structure.scaled(pool(name).cpu(), alive).masked_fill(~alive, -math.inf)
        safe = keep_largest([lambda: scores], self.structure.least(int(alive.sum())))[0]
        return scores.masked_fill(safe, math.inf)

    def settled(self, keep: Choice, layers: list[Layer]) -> dict[str, Tensor]:
        """What is gone stays gone, no group goes empty, and widths are what ``round_to`` wants."""
        settled = {}
        for layer in layers:
            alive = self.alive[layer.name]
            mine = keep[layer.name].cpu() & alive
            wanted = self.structure.rounded(int(mine.sum()), int(alive.sum()))
            if wanted != int(mine.sum()):
                mine = keep_largest([layer.score], wanted)[0] & alive
            settled[layer.name] = mine
        return settled

    def everything(self) -> dict[str, Tensor]:
        """All units that are left."""
        return dict(self.alive)

    def least(self) -> dict[str, Tensor]:
        """The first few of each group."""
        return {n: a & (a.cumsum(0) <= self.structure.least(int(a.sum()))) for n, a in self.alive.items()}

    def reset(self) -> None:
        """All units are there."""
        super().reset()
        self.alive = {n: torch.ones_like(a) for n, a in self.alive.items()}

    def remove(self, keep: Choice) -> None:
        """The other units are gone from now on."""
        self.alive = {n: self.alive[n] & keep[n] for n in self.targets}
        self.masks = self.masks_for(self.alive)

    def masks_for(self, keep: Choice) -> dict[str, Tensor]:
        """The masks of a choice: what the other units own or are read by goes, in whichever groups a parameter is."""
        masks = {n: torch.ones(self.parameter(n).shape, dtype=torch.bool, device=self.parameter(n).device) for n in self._masked}
        for name in self.targets:
            for p in self.places[name]:
                mask = masks[p.parameter]
                mask.index_fill_(p.dim, p.of(~keep[name]).to(mask.device), False)
        return masks

    def plan(self, keep: Choice | None = None) -> dict[str, list[int]]:
        """Group name → the units that are gone, or would be."""
        chosen = self.alive if keep is None else keep
        gone = {n: (~chosen[n]).nonzero().flatten().tolist() for n in self.targets}
        return {n: units for n, units in gone.items() if units}

    # ---------------------------------------------------------------- looking at it, keeping it

    def rows(self) -> list[tuple[str, str, int | None, float | None, str]]:
        """Every group: pruned ones first."""
        rows: list[tuple[str, str, int | None, float | None, str]] = []
        for name, facts in self.targets.items():
            left = int(self.alive[name].sum())
            rows.append((name, f"{facts.units} units", left, 1 - left / facts.units, ""))
        return rows + [(n, "", None, None, why) for n, why in self.dense.items()]

    def state_dict(self) -> dict[str, Any]:
        """The masks, and the units that are left."""
        return {**super().state_dict(), "units": {n: a.clone() for n, a in self.alive.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the units that are left; the masks follow from them."""
        if "units" not in state:
            raise ModelError("this state is of a pruner without example_inputs, whose units are of single layers; leave them out")
        given = {n: len(a) for n, a in state["units"].items()}
        ours = {n: t.units for n, t in self.targets.items()}
        if given != ours:
            raise ModelError(f"this state is of another model: its groups have units {given}; this model's have {ours}")
        self.alive = {n: a.cpu().clone() for n, a in state["units"].items()}
        self.masks = {}
        if state["masks"]:
            self.remove(self.alive)


def _place(member: Member, units: int, modules: Mapping[str, nn.Module]) -> Place:
    counts = np.diff(member.starts)
    role = "scale" if member.role == "carrier" and is_scale(modules, member.parameter) else member.role
    if counts.min() == counts.max():
        table, there = torch.from_numpy(member.indices.reshape(units, -1).copy()), None
    else:
        there = torch.from_numpy(np.arange(counts.max())[None] < counts[:, None])
        table = torch.zeros(there.shape, dtype=torch.long)
        table[there] = torch.from_numpy(member.indices.copy())
    return Place(member.parameter, member.dim, role, table, there)
