"""What a weight does for the flow of gradients."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ..core.component import Component, component, param
from ..core.errors import DataError
from ..core.statistics import Statistics
from .base import Score

__all__ = ["Grasp"]


@component
class Grasp(Score):
    """A weight matters as much as ‖∇L‖² would fall, to first order, without it: S = θ ⊙ Hg, with its sign.

    The paper writes −θ ⊙ Hg and removes the *largest*; here larger always means that a weight matters more, so this is
    its negative. g is the mean gradient over the batches and H its derivative, over the scored weights; batch norms use
    the statistics of the batch.

    Args:
        temperature: T, what the model's output is divided by before the loss sees it.

    Example:
        >>> import torch
        >>> from secateur.core.statistics import Statistics
        >>> Grasp()(torch.tensor([2.0, 3.0]), Statistics(name="w", hessian_gradient=torch.tensor([-1.0, 0.5])))
        tensor([-2.0000,  1.5000])

    Source:
        Wang et al., *Picking Winning Tickets Before Training by Preserving Gradient Flow*, 2020, arXiv:2002.07376.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"hessian_gradient"})
    directed: ClassVar[bool] = True

    temperature: float = param(default=200.0, gt=0)

    @property
    def divisor(self) -> float:
        """T."""
        return self.temperature

    def conflict(self, other: Component) -> str | None:
        """A pool of squares forgets the sign."""
        if other.axis == "structure" and getattr(other, "reduce", None) in ("l2", "abs_sum"):
            return "its scores have signs that count, and this pool forgets them"
        return None

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """θ ⊙ Hg."""
        if statistics.hessian_gradient is None:
            raise DataError("score 'grasp' needs the product of Hessian and gradient; pass Pruner(..., data=batches)")
        return weight * statistics.hessian_gradient
