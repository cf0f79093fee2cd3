"""Residual branches as units: what a branch alone uses goes with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..core.errors import ModelError
from ..core.flow import read_flow
from ..core.layers import Layer
from ..recipe import Recipe
from ..structure import Layers
from ..structure.base import pool as pooled
from .base import Choice, Found, Pool, Units
from .facts import is_scale

if TYPE_CHECKING:
    from ..graph.branches import Branch

__all__ = ["BRANCHES", "BranchUnits"]

BRANCHES = "layers"
"""The one group that branches form, as a plan names it."""


@dataclass(frozen=True)
class _All:
    """The branches as one group.

    Args:
        units: how many.
    """

    units: int


class BranchUnits(Units):
    """The residual branches of a model.

    Args:
        model: the model.
        recipe: the recipe, with the structure ``Layers``.
        branches: the model's branches.

    Raises:
        ModelError: it has none that may go, or a pattern matches nothing.
    """

    targets: dict[str, _All]

    def __init__(self, model: nn.Module, recipe: Recipe, branches: tuple[Branch, ...]) -> None:
        super().__init__(model, recipe)
        self.structure, self.branches = cast(Layers, recipe.structure), branches
        self.flow, self.dense = read_flow(model), {}
        for pattern in (*recipe.include, *recipe.exclude):
            if not any(fnmatch(b.name, pattern) for b in branches):
                known = ", ".join([b.name for b in branches][:8])
                raise ModelError(f"the pattern {pattern!r} matches no residual branch; the model has {known or 'none'}")
        self.fixed = torch.tensor([any(fnmatch(b.name, e) for e in recipe.exclude) for b in branches], dtype=torch.bool)
        self.dense = {b.name: "excluded by name" for b, f in zip(branches, self.fixed.tolist(), strict=True) if f}
        if not branches or bool(self.fixed.all()):
            raise ModelError("the model has no residual branch x + F(x) that may go: structure 'layers' fits nothing")
        self.targets = {BRANCHES: _All(len(branches))}
        self.alive = {BRANCHES: torch.ones(len(branches), dtype=torch.bool)}
        self._scales = dict(model.named_modules())
        self._costs = torch.tensor([sum(self.parameter(p).numel() for p in b.parameters) for b in branches])

    @property
    def maskable(self) -> frozenset[str]:
        """What branches alone use."""
        return frozenset(p for b in self.branches for p in b.parameters)

    def _scored(self, branch: Branch) -> list[str]:
        if self.structure.members == "scales":
            return [p for p in branch.parameters if is_scale(self._scales, p)]
        return [p for p in branch.parameters if self.parameter(p).ndim > 1]

    @property
    def scored(self) -> tuple[str, ...]:
        """The parameters that the structure names."""
        return tuple(p for b in self.branches for p in self._scored(b))

    @property
    def prunable(self) -> int:
        """What the branches own."""
        return int(self._costs.sum())

    @property
    def removed(self) -> int:
        """What those that are gone owned."""
        return int(self._costs[~self.alive[BRANCHES]].sum())

    def pool(self, name: str, event: int, found: Found) -> Tensor:
        """One number a branch."""
        return torch.stack([self._score(b, event, found) for b in self.branches])

    def _score(self, branch: Branch, event: int, found: Found) -> Tensor:
        members = self._scored(branch)
        if not members:
            raise ModelError(f"the branch {branch.name!r} has no {self.structure.members} to be scored on")
        scores = [self.scores(p, event, found) for p in members]
        return pooled(torch.stack([self.structure.member(s) for s in scores]), self.structure.across).cpu()

    def layers(self, pool: Pool) -> list[Layer]:
        """All branches, which compete with one another."""
        alive, fixed = self.alive[BRANCHES], self.fixed

        def score() -> Tensor:
            return pool(BRANCHES).masked_fill(~alive, -math.inf).masked_fill(fixed, math.inf)

        weight = self.parameter(self._scored(self.branches[0])[0]).detach()
        return [Layer(name=BRANCHES, weight=weight, mask=None, score=score, units=len(alive), cost=1)]

    def settled(self, keep: Choice, layers: list[Layer]) -> dict[str, Tensor]:
        """What is gone stays gone, what is fixed stays."""
        return {BRANCHES: keep[BRANCHES].cpu() & self.alive[BRANCHES] | self.fixed}

    def everything(self) -> dict[str, Tensor]:
        """All that are left."""
        return dict(self.alive)

    def least(self) -> dict[str, Tensor]:
        """None but those that are fixed."""
        return {BRANCHES: self.fixed.clone()}

    def remove(self, keep: Choice) -> None:
        """The others are gone from now on."""
        self.alive = {BRANCHES: self.alive[BRANCHES] & keep[BRANCHES]}
        self.masks = self.masks_for(self.alive)

    def masks_for(self, keep: Choice) -> dict[str, Tensor]:
        """All of a branch's parameters, or none."""
        left = (keep[BRANCHES] & self.alive[BRANCHES]).tolist()
        return {
            p: torch.full(self.parameter(p).shape, stays, dtype=torch.bool, device=self.parameter(p).device)
            for b, stays in zip(self.branches, left, strict=True)
            for p in b.parameters
        }

    def plan(self, keep: Choice | None = None) -> dict[str, list[int]]:
        """The branches that are gone, or would be."""
        gone = (~(self.alive if keep is None else keep)[BRANCHES]).nonzero().flatten().tolist()
        return {BRANCHES: gone} if gone else {}

    def rows(self) -> list[tuple[str, str, int | None, float | None, str]]:
        """Every branch."""
        left = self.alive[BRANCHES].tolist()
        return [(b.name, "branch", int(a), 1.0 - a, self.dense.get(b.name, "")) for b, a in zip(self.branches, left, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """The masks, and the branches that are left."""
        return {**super().state_dict(), "units": {n: a.clone() for n, a in self.alive.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the branches that are left; the masks follow from them."""
        given = {n: len(a) for n, a in state.get("units", {}).items()}
        if given != {BRANCHES: len(self.branches)}:
            raise ModelError(
                f"this state is of another model: it has units {given}; this model has {len(self.branches)} branches"
            )
        self.alive = {n: a.cpu().clone() for n, a in state["units"].items()}
        self.masks = {}
        if state["masks"]:
            self.remove(self.alive)
