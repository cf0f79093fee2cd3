"""What the pruner asks of whatever it removes units from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.flow import Flow
from ..core.layers import Layer
from ..core.statistics import Statistics
from ..recipe import Recipe

__all__ = ["Choice", "Found", "Gradients", "Pool", "Units"]

Choice = Mapping[str, Tensor]
"""Layer or group name → one boolean a unit, True stays; or parameter name → one a weight."""

Gradients = Mapping[str, Tensor]
"""Parameter name → gradient, shaped as the parameter."""

Found = Mapping[str, Gradients]
"""Field of ``Statistics`` → what was collected for it, by parameter name."""

Pool = Callable[[str], Tensor]
"""Layer or group name → the score of each unit."""


class Units(ABC):
    """The units of a model that a recipe can remove, and which of them are gone.

    Attributes:
        model: the model.
        recipe: the recipe.
        targets: what is pruned, by name.
        dense: what is not, and why.
        flow: which layer feeds which.
        masks: parameter name → what is left of it.
    """

    targets: Mapping[str, Any]
    dense: dict[str, str]
    flow: Flow

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.masks: dict[str, Tensor] = {}

    def parameter(self, name: str) -> Tensor:
        """A parameter by name."""
        return self.model.get_parameter(name)

    @property
    @abstractmethod
    def maskable(self) -> frozenset[str]:
        """Names of the parameters that may get a mask."""

    @property
    @abstractmethod
    def scored(self) -> tuple[str, ...]:
        """Names of the parameters whose weights are scored."""

    @property
    @abstractmethod
    def prunable(self) -> int:
        """Parameters that the units own; each is owned once."""

    @property
    @abstractmethod
    def removed(self) -> int:
        """How many of these are gone."""

    @abstractmethod
    def pool(self, name: str, event: int, found: Found) -> Tensor:
        """The score of each unit of a layer or group from the scores of its weights."""

    def scores(self, name: str, event: int, found: Found, turn: Callable[[Tensor], Tensor] = lambda t: t) -> Tensor:
        """The recipe's scores of a parameter's weights, in single precision at least.

        Args:
            name: the parameter.
            event: how many times the model was pruned before.
            found: what was collected for the score.
            turn: puts the output dimension first, in the weight and in what is shaped as it.
        """
        weight = self.parameter(name).detach()
        known = {
            field: values[name] if values[name].shape != weight.shape else turn(values[name])
            for field, values in found.items()
            if name in values
        }
        weight = turn(weight.float() if weight.dtype in (torch.float16, torch.bfloat16) else weight)
        return self.recipe.score(weight, Statistics(name=name, event=event, **known))

    @abstractmethod
    def layers(self, pool: Pool) -> list[Layer]:
        """What an allocation sees; its scores are −inf for units that are gone, +inf for units that must stay."""

    @abstractmethod
    def settled(self, keep: Choice, layers: list[Layer]) -> dict[str, Tensor]:
        """An allocation's choice, made one that can be: what is gone stays gone, widths are rounded."""

    def reset(self) -> None:
        """All units are there again."""
        self.masks = {}

    @abstractmethod
    def remove(self, keep: Choice) -> None:
        """Remove all units but these; the masks say so afterwards."""

    @abstractmethod
    def everything(self) -> dict[str, Tensor]:
        """The choice that keeps all units."""

    @abstractmethod
    def masks_for(self, keep: Choice) -> dict[str, Tensor]:
        """The masks a choice would give, what was gone before included."""

    @abstractmethod
    def least(self) -> dict[str, Tensor]:
        """A choice that removes as much as can be."""

    def oriented(self, name: str, tensor: Tensor) -> Tensor:
        """A weight or its mask with the output dimension first, or back: the exchange is its own inverse."""
        return tensor

    @abstractmethod
    def rows(self) -> list[tuple[str, str, int | None, float | None, str]]:
        """For each layer or group: name, what it is, how much is left, its sparsity, why it stays dense."""

    def state_dict(self) -> dict[str, Any]:
        """Which units are gone."""
        return {"masks": {n: m.clone() for n, m in self.masks.items()}}

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Raises:
            ModelError: the state is of another model.
        """
