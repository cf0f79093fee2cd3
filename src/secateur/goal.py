"""How far to prune, in the unit one thinks in."""

from __future__ import annotations

import dataclasses as dc
from typing import Any, ClassVar

from .core.component import coerce
from .core.errors import ModelError, RecipeError

__all__ = ["Bytes", "Compression", "Goal", "Latency", "Limit", "Macs", "Params", "Sparsity"]


class Goal:
    """A target for the whole model, turned into the sparsity of its prunable part."""

    def to_dict(self) -> dict[str, Any]:
        """Its name and values, plain."""
        return {"name": type(self).__name__, **{f.name: getattr(self, f.name) for f in dc.fields(self)}}  # type: ignore[arg-type]

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

    def limit(self, dense: float) -> float:
        """How many of so many parameters are left: of a model whose units are cut out, a limit on its parameters."""
        return dense / self.ratio

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


@dc.dataclass(frozen=True)
class Limit(Goal):
    """The most that may be left of something that is counted or timed on the model: base of the targets below.

    At each pruning event the least sparsity is looked for that meets the event's share of the limit: with d the dense
    model's amount, L the limit and s / s_final how far the schedule is, at most d − (s / s_final)·(d − L) is left.

    Args:
        amount: up to 1 the fraction of the dense model's, above 1 the amount itself.
    """

    quantity: ClassVar[str] = ""
    unit: ClassVar[str] = ""

    amount: float

    def __post_init__(self) -> None:
        what = f"{type(self).__name__}: the {self.unit} that may be left"
        object.__setattr__(self, "amount", coerce(self.amount, float, what))
        if not self.amount > 0:
            raise RecipeError(f"{what} must be > 0; got {self.amount!r}")

    def sparsity(self, total: int, prunable: int) -> float:
        """Nothing that follows from two counts."""
        raise TypeError(f"{type(self).__name__} is found by measuring; pass it as Pruner(model, recipe, target=...)")

    def limit(self, dense: float) -> float:
        """L, when the dense model has ``dense``."""
        return self.amount * dense if self.amount <= 1 else self.amount


@dc.dataclass(frozen=True)
class Macs(Limit):
    """At most so many multiply-adds for one example are left: those of the model with its units cut out.

    For structures whose units are no whole channels, those that meet a weight that is left.

    Args:
        amount: up to 1 the fraction of the dense model's, above 1 the multiply-adds themselves.

    Example:
        >>> Macs(0.5).limit(dense=4_000), Macs(1_000).limit(dense=4_000)
        (2000.0, 1000.0)
    """

    quantity: ClassVar[str] = "macs"
    unit: ClassVar[str] = "multiply-adds"


@dc.dataclass(frozen=True)
class Params(Limit):
    """At most so many parameters are left: those of the model with its units cut out, or those that are not pruned.

    Args:
        amount: up to 1 the fraction of the dense model's, above 1 the parameters themselves.

    Example:
        >>> Params(0.25).limit(dense=4_000)
        1000.0
    """

    quantity: ClassVar[str] = "params"
    unit: ClassVar[str] = "parameters"


@dc.dataclass(frozen=True)
class Bytes(Limit):
    """At most so many bytes are left.

    Of a model whose units are cut out, the bytes of its parameters and buffers; else those of the file ``save`` writes.

    Args:
        amount: up to 1 the fraction of the dense model's, above 1 the bytes themselves.

    Example:
        >>> Bytes(5e6).limit(dense=102e6)
        5000000.0
    """

    quantity: ClassVar[str] = "bytes"
    unit: ClassVar[str] = "bytes"


@dc.dataclass(frozen=True)
class Latency(Limit):
    """One call on the example inputs takes at most so long, measured on this machine on copies that are really cut.

    Args:
        amount: median milliseconds of a call.
        device: where the copies run.

    Example:
        >>> Latency(2.5).limit(dense=10.0)
        2.5
    """

    quantity: ClassVar[str] = "latency"
    unit: ClassVar[str] = "milliseconds"

    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "device", coerce(self.device, str, "Latency: the device"))

    def limit(self, dense: float) -> float:
        """The milliseconds themselves."""
        return self.amount
