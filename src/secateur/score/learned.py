"""Scores that training learns, in tensors beside the weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.component import Component, component, param
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Learned", "Part", "kept", "ramped"]


@dataclass(frozen=True, eq=False)
class Part:
    """One tensor of learned numbers and what it is about, as its score sees it.

    Args:
        learned: a number a weight, or a number a unit.
        weight: the parameter, differentiable; None where the numbers are of units.
        keep: which of them the last pruning event kept, same shape; None for all.
        noise: what ``Learned.noise`` drew for this step; None outside training.
        training: whether this is a forward pass of training.
        size: parameters that go with a unit, for each or for all alike.
        squares: for a number a unit, Σ v·w² over the weights that the unit gates.
        share: of all numbers that are learned, the part that these are.
        t: optimizer steps done.
    """

    learned: Tensor
    weight: Tensor | None = None
    keep: Tensor | None = None
    noise: Tensor | None = None
    training: bool = False
    size: Tensor | int = 1
    squares: Callable[[Tensor], Tensor] | None = None
    share: float = 1.0
    t: int = 0


@component
class Learned(Score, axis="score"):
    """Base of the scores that are learned: tensors that an optimizer trains with the weights, until the last event.

    The pruner owns the tensors. While they are learned a layer computes with its weights times ``gate``, with noise of
    ``variance`` on its outputs; ``cost`` is added to the loss. At the last event the allocation chooses by the score,
    ``fold`` is multiplied into the weights, and the tensors are dropped.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"learned"})

    of_units: ClassVar[bool] = False
    """Whether there is one number a unit of the recipe's structure, and not one a weight."""

    perturbs: ClassVar[bool] = False
    """Whether outputs get noise of ``variance`` in training."""

    learning_rate: float | None = param(default=None, gt=0)

    def conflict(self, other: Component) -> str | None:
        """What it learns is of the weights that are there; and a residual branch has no weights that a gate could be on."""
        if other.axis == "schedule" and other.name == "drop_grow":
            return "its numbers already let weights come and go while they are learned"
        if other.axis == "structure" and other.name == "layers" and self.of_units:
            return "it needs weights that read a unit alone, and those after a residual branch read its shortcut too"
        return None

    @abstractmethod
    def first(self, shape: tuple[int, ...], name: str) -> Tensor:
        """The first numbers, a pure function of shape and name."""

    def noise(self, learned: Tensor) -> Tensor | None:
        """What to draw for one optimizer step, from the global generator; None for nothing."""
        return None

    @abstractmethod
    def gate(self, part: Part) -> Tensor | None:
        """What multiplies the weights, a number for each of ``part.learned``, 0 where ``part.keep`` is False; None for 1."""

    def variance(self, part: Part) -> Tensor | None:
        """The variance of each weight in training."""
        return None

    def cost(self, part: Part) -> Tensor | None:
        """What training adds to the mean loss of a batch, a differentiable scalar."""
        return None

    def threshold_at(self, t: int) -> float | None:
        """In training, what a score must exceed for its gate to be open at step t; None where events alone decide."""
        return None

    def clamp_(self, learned: Tensor) -> None:
        """Bring the numbers back into their range after an optimizer step."""
        return

    def fold(self, part: Part) -> Tensor | None:
        """What stays in the weights that are kept when the numbers are dropped; None for 1."""
        return None

    def of(self, statistics: Statistics) -> Tensor:
        """What was learned.

        Raises:
            DataError: nothing was.
        """
        if statistics.learned is None:
            raise DataError(
                f"score {self.name!r} is learned while training; train with Pruner(model, recipe, optimizer=...) and call "
                "pruner.step() after optimizer.step()"
            )
        return statistics.learned


def kept(gate: Tensor | None, part: Part) -> Tensor | None:
    """A gate, closed where the last event closed it."""
    if part.keep is None:
        return gate
    keep = part.keep.to(part.learned.dtype)
    return keep if gate is None else gate * keep


def ramped(t: int, begin: int, steps: int) -> float:
    """0 until ``begin``, then linear to 1 in so many steps.

    Example:
        >>> [ramped(t, 10, 20) for t in (0, 10, 20, 30, 40)]
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if t < begin:
        return 0.0
    return 1.0 if steps == 0 else min(1.0, (t - begin) / steps)
