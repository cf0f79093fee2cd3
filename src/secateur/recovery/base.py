"""The fifth axis: what the survivors do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from ..core.component import Component, component, param
from ..core.errors import ModelError
from .recalibrate import batch_norms

__all__ = ["Inherit", "Recovery", "Restart"]


class Recovery(Component, axis="recovery"):
    """What happens to the surviving weights after pruning: where they start from and how they are trained on."""

    restarts: ClassVar[bool] = False
    """Whether training starts over after each pruning, so that optimizer state is dropped."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """``{"input_moment"}`` where it refits the survivors: the pruner collects it from its data at each event."""

    @property
    def snapshot_at(self) -> int | None:
        """The step of the first training at which the pruner must keep a copy of the model, or None."""
        return None

    @property
    def resume_at(self) -> int:
        """The step at which training (its learning-rate schedule, its data order) resumes after a pruning."""
        return 0

    @property
    def recalibration(self) -> int:
        """Training examples over which batch-norm statistics are taken anew right after a pruning; 0 leaves them."""
        return 0

    def check(self, model: nn.Module) -> None:
        """Refuse a model this recovery cannot treat, before any work is done."""
        return

    def refit(self, weight: Tensor, mask: Tensor, moment: Tensor) -> Tensor:
        """The values of a weight that has just lost some, for recoveries that need ``"input_moment"``.

        Args:
            weight: as it was before this event, output dimension first.
            mask: what is left of it, same shape.
            moment: Σ x xᵀ of what its rows read, ``[groups, n, n]``.
        """
        return weight

    def restore(self, model: nn.Module, snapshot: Mapping[str, Tensor] | None) -> None:
        """Set the survivors' values after a pruning (the pruner applies the masks afterwards).

        Args:
            model: the model, changed in place.
            snapshot: its ``state_dict`` at ``snapshot_at``.
        """
        return


@component
class Inherit(Recovery, axis="recovery"):
    """Base of the recoveries whose survivors keep their values, and whose batch-norm statistics may therefore be off."""

    recalibrate: int = param(default=0, ge=0)

    @property
    def recalibration(self) -> int:
        """What ``recalibrate`` says."""
        return self.recalibrate

    def check(self, model: nn.Module) -> None:
        """There must be statistics to take."""
        if self.recalibrate and not batch_norms(model):
            raise ModelError(
                f"recovery {self.name!r} cannot recalibrate this {type(model).__name__}: it has no batch norm with running "
                "statistics; use recalibrate=0"
            )


class Restart(Recovery, axis="recovery"):
    """Base of the recoveries that train anew after each pruning, and so need a schedule that counts rounds."""

    restarts: ClassVar[bool] = True

    def conflict(self, other: Component) -> str | None:
        """A ramp prunes while training: there is no moment to start over."""
        if other.axis == "schedule" and "rounds" not in other.counts:  # type: ignore[attr-defined]
            return "it starts training over after each pruning, and this schedule prunes while training"
        return None
