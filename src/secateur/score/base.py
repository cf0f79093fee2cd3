"""The second axis: how much a weight matters."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from ..core.component import Component
from ..core.statistics import Statistics

__all__ = ["Score"]


class Score(Component, axis="score"):
    """A number a weight: the larger, the more the weight matters."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What it must be told beyond the weight: ``"gradient"``, ``"squared_gradient"``, ``"hessian_gradient"``,
    ``"synaptic_flow"`` or ``"input_moment"``, which are fields of ``Statistics``; or ``"example_gradient"`` for the gradient
    of one example at a time, over which the scores of units are averaged. The pruner collects it once an event, or refuses
    at the start."""

    directed: ClassVar[bool] = False
    """Whether scores may be negative, so that what squares them, or takes their absolute value, would mix up their order."""

    @property
    def divisor(self) -> float:
        """What the model's output is divided by while H·g is collected."""
        return 1.0

    def regulariser(self, weight: Tensor) -> Tensor | None:
        """What training is to keep small so that this score tells more, differentiable in the weight; None for nothing."""
        return None

    @abstractmethod
    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """The score of every weight: same shape, a pure function that gives the same answer each time.

        Args:
            weight: the parameter's values, output dimension first.
            statistics: the parameter's name and what ``needs`` asks for.
        """
