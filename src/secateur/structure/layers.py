"""Whole layers: the branches of a residual network."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import component, param
from ..core.errors import ModelError
from ..core.layers import Target
from .base import Structure, pool

__all__ = ["Layers"]

_ALONE = "layers are the residual branches of a whole model: pass Pruner(model, recipe, example_inputs=...)"


@component
class Layers(Structure):
    """Residual branches, F in x + F(x): without it the block is the identity, and leaves the model when it is cut.

    Blocks that change the size of their input, and networks without shortcuts, have none. A branch is scored on its
    parameters: each gives one number, their mean (or sum, or largest) is the branch's.

    Args:
        reduce: how the weights of one parameter make its score: ``mean``, ``sum``, ``max``, ``l2`` or ``abs_sum``.
        members: what a branch is scored on: ``all`` its parameters of two dimensions or more, or the ``scales`` of its norms.
        across: how the scores of several parameters make the branch's.

    Example:
        >>> Layers(members="scales").to_dict(minimal=True)
        {'name': 'layers', 'members': 'scales'}

    Source:
        Veit et al., *Residual Networks Behave Like Ensembles of Relatively Shallow Networks*, 2016, arXiv:1605.06431.
    """

    alone: ClassVar[bool] = False

    reduce: str = param(default="mean", among=("mean", "sum", "max", "l2", "abs_sum"))
    members: str = param(default="all", among=("all", "scales"))
    across: str = param(default="mean", among=("mean", "sum", "max"))

    @property
    def couples(self) -> bool:
        """They are of the whole model."""
        return True

    def misfit(self, target: Target) -> str | None:
        """No layer by itself has a shortcut."""
        return _ALONE

    def member(self, scores: Tensor) -> Tensor:
        """The score of one parameter."""
        return pool(scores.flatten(), self.reduce)

    def units(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """There are none in a layer by itself."""
        raise ModelError(_ALONE)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """There are none in a layer by itself."""
        raise ModelError(_ALONE)
