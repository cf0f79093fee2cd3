"""A dropout rate for every weight, learned."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core.component import component, param
from ..core.statistics import Statistics
from .learned import Learned, Part, kept, ramped

__all__ = ["VariationalDropout"]

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
_LOW, _HIGH = -8.0, 8.0


@component
class VariationalDropout(Learned):
    """A weight matters as much as noise on it hurts: S = −log α for w ~ N(θ, α θ²), α learned with the weight.

    Learned is log σ² = log α + log θ²; outputs are drawn as N(a∗θ, a²∗σ²), one draw an output and example. The loss is
    the mean over a batch plus kl/N · Σ D_KL, with −D_KL ≈ k₁ sigmoid(k₂ + k₃ log α) − ½ log(1 + 1/α) − k₁ a weight, so N
    must be right: with another N everything goes at once, or nothing. Do not add weight decay on θ. In evaluation mode,
    a layer computes with θ·1[log α < threshold]. Linear layers and convolutions alone.

    Args:
        examples: N, examples in the training set.
        kl: weight of Σ D_KL / N, reached at the end of its ramp.
        begin: optimizer steps before the penalty begins.
        ramp: steps in which it then rises linearly from 0.
        initial: log σ² at the start.
        threshold: log α from which a weight is only noise; ``Threshold(at=-threshold)`` removes those.
        train_clip: leave such weights out of training passes too. They stay out, and with Adam their moments fade to denormal
            numbers, which are slow on CPUs: call ``torch.set_flush_denormal(True)`` before.
        learning_rate: of log σ²; None for that of the weights.

    Example:
        >>> vd = VariationalDropout(examples=60_000)
        >>> vd.divergence(torch.tensor([-8.0, 0.0, 3.0]))
        tensor([4.6359, 0.4312, 0.0254])
        >>> vd(torch.tensor([1.0, 0.1]), Statistics(name="w", learned=torch.tensor([-2.0, -2.0])))
        tensor([ 2.0000, -2.6052])

    Source:
        Molchanov, Ashukha & Vetrov, *Variational Dropout Sparsifies Deep Neural Networks*, 2017, arXiv:1701.05369.
    """

    perturbs: ClassVar[bool] = True

    examples: int = param(ge=1)
    kl: float = param(default=1.0, ge=0)
    begin: int = param(default=0, ge=0)
    ramp: int = param(default=0, ge=0)
    initial: float = -10.0
    threshold: float = 3.0
    train_clip: bool = False

    def __call__(self, weight: Tensor, statistics: Statistics) -> Tensor:
        """−log α."""
        return log_theta2(weight) - self.of(statistics)

    def first(self, shape: tuple[int, ...], name: str) -> Tensor:
        """The same for all."""
        return torch.full(shape, self.initial)

    def divergence(self, log_alpha: Tensor) -> Tensor:
        """D_KL of each weight, in nats."""
        return _K1 * torch.sigmoid(-(_K2 + _K3 * log_alpha)) + 0.5 * torch.nn.functional.softplus(-log_alpha)

    def gate(self, part: Part) -> Tensor | None:
        """Nothing in training, unless clipped; else 1[log α < threshold]."""
        clips = self.train_clip or not part.training
        return kept(self._signal(part) if clips else None, part)

    def variance(self, part: Part) -> Tensor:
        """σ²."""
        variance = part.learned.exp()
        gate = self.gate(part)
        return variance if gate is None else variance * gate

    def cost(self, part: Part) -> Tensor | None:
        """kl/N · Σ D_KL at this step's place in the ramp."""
        strength = self.kl / self.examples * ramped(part.t, self.begin, self.ramp)
        if not strength:
            return None
        assert part.weight is not None
        total: Tensor = _Divergence.apply(part.learned, part.weight)  # type: ignore[no-untyped-call]
        return strength * total

    def _signal(self, part: Part) -> Tensor:
        with torch.no_grad():
            return (_log_alpha(part) < self.threshold).to(part.learned.dtype)


def log_theta2(weight: Tensor) -> Tensor:
    """log(θ² + 1e-8), which stays finite where a weight is 0."""
    return torch.log(weight.square() + 1e-8)


def _log_alpha(part: Part) -> Tensor:
    assert part.weight is not None
    return part.learned - log_theta2(part.weight.to(part.learned.dtype))


class _Divergence(torch.autograd.Function):
    """Σ D_KL and its gradient in one go: autograd's way there passes over the weights three times as often."""

    @staticmethod
    def forward(ctx: Any, log_variance: Tensor, weight: Tensor) -> Tensor:
        theta = weight.to(log_variance.dtype)
        theta2 = theta.square().add_(1e-8)
        log_alpha = log_variance - theta2.log()
        inside = (log_alpha >= _LOW) & (log_alpha <= _HIGH)
        log_alpha.clamp_(_LOW, _HIGH)
        share = torch.sigmoid(log_alpha)
        s = log_alpha.mul_(_K3).add_(_K2).sigmoid_()
        total = _K1 * (s.numel() - s.sum()) - 0.5 * share.log().sum()
        gradient = (1 - s).mul_(s).mul_(-_K1 * _K3).add_(share.sub_(1), alpha=0.5).mul_(inside)
        ctx.save_for_backward(gradient, (theta * gradient).div_(theta2).mul_(-2).to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, Tensor]:
        of_variance, of_weight = ctx.saved_tensors
        return of_variance * outputs[0], of_weight * outputs[0]
