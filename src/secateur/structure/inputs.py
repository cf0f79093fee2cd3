"""Whole inputs of a layer."""

from __future__ import annotations

from torch import Tensor

from ..core.component import component, param
from ..core.coupling import Coupling
from ..core.errors import RecipeError
from .coupled import Coupled

__all__ = ["Inputs"]


@component
class Inputs(Coupled):
    """All that one input of a layer meets: a column of a linear layer, a slice of kernels of a convolution.

    With example inputs an input goes with what makes it: the units are those of ``Filters``, scored on the weights that
    read them. What no layer makes, the model's own inputs, stays then; with ``coupled=False`` it may go like any other.

    Args:
        reduce: how a column's weights make its score: ``mean``, ``sum``, ``max``, ``l2``, or ``abs_sum`` (of scores
            with signs).
        members: what a coupled unit is scored on: ``producers``, ``consumers``, ``scales`` or ``all``; see ``Filters``.
        across: how the scores of several members make the unit's: ``mean``, ``sum`` or ``max``.
        normalize: what a group's scores are divided by before groups compete: ``none``, or their ``mean``, ``max``, ``l2``.
        round_to: kept inputs of a coupled group are a multiple of this, where any go.
        coupled: whether example inputs, where there are any, make the units reach over layers; without, every layer's
            columns go by themselves.

    Raises:
        RecipeError: not coupled, and a parameter that speaks of coupled groups.

    Example:
        >>> import torch
        >>> Inputs().units(torch.tensor([[1.0, 3.0], [0.0, 1.0]]), None)
        tensor([0.5000, 2.0000])

    Source:
        He et al., *Channel Pruning for Accelerating Very Deep Neural Networks*, 2017, arXiv:1707.06168.
    """

    members: str = param(default="consumers", among=("producers", "consumers", "scales", "all"))
    coupled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.coupled and self.speaks_of_groups:
            raise RecipeError(
                f"structure 'inputs': {self.speaks_of_groups} speaks of coupled groups, and with coupled=False there are none; "
                "leave it out, or give coupled=True"
            )

    @property
    def couples(self) -> bool:
        """What ``coupled`` says."""
        return self.coupled

    def misfit_group(self, group: Coupling) -> str | None:
        """Anything a layer makes, but heads."""
        return "its units are heads: use Heads()" if group.heads else None

    def groups(self, values: Tensor) -> Tensor:
        """``[in, out·k·k]``."""
        return values.transpose(0, 1).flatten(1)

    def spread(self, keep: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Each column's answer for all its weights."""
        return keep.view(1, -1, *[1] * (len(shape) - 2)).expand(shape).contiguous()
