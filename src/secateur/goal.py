"""How far to prune, in the unit one thinks in."""

from __future__ import annotations

import dataclasses as dc

from .core.component import coerce
from .core.errors import ModelError, RecipeError

__all__ = ["Compression", "Goal", "Sparsity"]


class Goal:
    """A target for the whole model, turned into the sparsity of its prunable part."""

    def sparsity(self, total: int, prunable: int) -> float:
        """The fraction of the prunable part to remove.

        Args:
            total: parameters of the model, T.
            prunable: parameters of its prunable part, P.
        """
        raise TypeError(f"{type(self).__name__} must define sparsity(total, prunable)")


@dc.dataclass(frozen=True)
class Sparsity(Goal):
    """The fraction of the prunable part that goes.

    Example:
        >>> Sparsity(0.9).sparsity(total=100, prunable=50)
        0.9
    """

    fraction: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "fraction", coerce(self.fraction, float, "Sparsity: the fraction removed"))
        if not 0 <= self.fraction < 1:
            raise RecipeError(f"Sparsity: the fraction removed must be ≥ 0 and < 1; got {self.fraction!r}")

    def sparsity(self, total: int, prunable: int) -> float:
        """The fraction itself."""
        return self.fraction


@dc.dataclass(frozen=True)
class Compression(Goal):
    """Original parameters / non-zero parameters over the whole model, dense layers, biases and norms included.

    With T parameters of which P can be pruned, the density of the prunable part is d_P = (T/c − (T − P)) / P.

    Example:
        >>> round(Compression(2).sparsity(total=100, prunable=80), 3)
        0.625

    Source:
        Blalock et al., *What is the State of Neural Network Pruning?*, 2020, arXiv:2003.03033.
    """

    ratio: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", coerce(self.ratio, float, "Compression: the ratio"))
        if not self.ratio >= 1:
            raise RecipeError(f"Compression: the ratio must be ≥ 1; got {self.ratio!r}")

    def sparsity(self, total: int, prunable: int) -> float:
        """1 − d_P.

        Raises:
            ModelError: even with the whole prunable part gone the ratio is not reached.
        """
        density = (total / self.ratio - (total - prunable)) / prunable
        if density <= 0:
            most = total / (total - prunable) if total > prunable else float("inf")
            raise ModelError(
                f"compression {self.ratio:g}× cannot be reached: {total - prunable:,} of {total:,} parameters stay dense, "
                f"so at most {most:.4g}× can; ask for less, or prune more layers (prune_classifier=True, include=...)"
            )
        return 1 - density
