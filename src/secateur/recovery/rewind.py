"""Back to the weights of an earlier step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..core.component import component, param
from ..core.errors import ModelError
from .base import Restart

__all__ = ["Rewind"]


@component
class Rewind(Restart):
    """The survivors go back to the values they had at step k of the first, dense training: θ ← m ⊙ θ_k.

    Everything in the ``state_dict`` goes back, batch-norm scales, shifts and statistics included. Training resumes at step k of
    the learning-rate schedule, with an optimizer that starts anew: its momentum at step k is not kept, in any round.

    Args:
        to: k, optimizer steps of the first training; 0 is the initialisation.

    Example:
        >>> Rewind(to=500).resume_at
        500

    Source:
        Frankle & Carbin 2019 (arXiv:1803.03635) for k = 0; Frankle et al. 2020 (arXiv:1912.05671) for k > 0.
    """

    to: int = param(default=0, ge=0)

    @property
    def snapshot_at(self) -> int | None:
        """Step k."""
        return self.to

    @property
    def resume_at(self) -> int:
        """Step k."""
        return self.to

    def restore(self, model: nn.Module, snapshot: Mapping[str, Tensor] | None) -> None:
        """Copy θ_k into the model."""
        if snapshot is None:
            raise ModelError(
                f"recovery 'rewind' has no weights of step {self.to} to go back to; call pruner.step() after each "
                "optimizer.step() of the first round, for at least that many steps"
            )
        with torch.no_grad():
            for name, value in model.state_dict().items():
                value.copy_(snapshot[name])
