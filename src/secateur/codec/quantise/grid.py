"""Multiples of a step for each layer, each rounding made up for by what of its row is not yet rounded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ModelError
from ...core.input_moment import collect_input_moments, damped
from ...core.layers import is_transposed
from ...core.statistics import Loss, collect_squared_gradients, examples
from .sizes import entropy_bytes

__all__ = ["on_grid", "rounded"]

_CURVED = 512  # examples that the curvature is the mean over
_TAKES = "a grid takes finite weights of linear layers and convolutions"
_BLOCK, _TRIES, _NEAR = 64, 12, 0.005  # columns rounded at a time; steps tried; bits a weight that are near enough


def rounded(weight: Tensor, moment: Tensor, step: float, *, most: int = 1 << 15, damping: float = 0.1) -> Tensor:
    r"""Each weight becomes a multiple of a step, in turn; the rest of its row takes the values that bring the outputs back.

    .. math:: q_p = \Delta \lfloor w_p / \Delta \rceil, \quad
              w_{R} \leftarrow w_{R} + [XX^\top]_{RR}^{-1} [XX^\top]_{Rp} (w_p - q_p)

    with R what of the row is left to round, column by column, the input of most power first. Zeros stay zeros.

    Args:
        weight: one row an output.
        moment: XXᵀ of its inputs, ``[groups, n, n]`` for rows of n weights.
        step: Δ.
        most: multiples reach from −most to most.
        damping: what is added to the diagonal of XXᵀ, relative to its mean.

    Example:
        >>> moment = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
        >>> rounded(torch.tensor([[0.6, 0.6]]), moment, step=1.0, damping=0)  # the second is 0.6 − 0.5 · 0.4 in its turn
        tensor([[1., 0.]])

    Source: Frantar et al., *GPTQ*, 2023, arXiv:2210.17323.
    """
    ready = [_Ready(m, damping) for m in moment]
    return _rounded(weight, ready, step, most)


def on_grid(
    model: nn.Module,
    most: Mapping[str, int],
    data: Iterable[Any],
    *,
    rate: float,
    damping: float = 0.1,
    loss: Loss | None = None,
) -> dict[str, Tensor]:
    r"""Weights on grids as coarse as so many bits a weight allow, finer where the loss feels it more.

    The step of a layer is :math:`\Delta = \kappa / \sqrt{f g}`, which makes each bit buy as much everywhere: g is the
    geometric mean of what rounding a weight costs in ‖WX − ŴX‖² when the rest of its row makes up for it, f the loss's
    curvature by an output, :math:`\sum (\partial L / \partial w)^2` over rows and the inputs' power. κ is searched for.

    Args:
        model: stays as it was.
        most: parameter name → the greatest multiple, which no weight passes; all-zero weights and those that no linear layer or
            convolution multiplies are left out.
        data: training batches with what the loss compares to: (inputs, labels), or mappings.
        rate: bits a weight that an ideal coder needs on average at most, positions included, over the weights of the answer.
        damping: see ``rounded``.
        loss: ``loss(model, batch)`` for data of another form.

    Returns:
        Parameter name → its new value.

    Raises:
        ModelError: no linear layer or convolution among the names, or a weight that is no finite number.
    """
    batches = list(data)
    if wrong := [n for n in most if not bool(torch.isfinite(model.get_parameter(n)).all())]:
        raise ModelError(f"{wrong[0]!r} holds NaN or infinity; {_TAKES}")
    moments = collect_input_moments(model, list(most), batches, loss)
    if not moments:
        raise ModelError(f"no layer's inputs are multiplied by any of {', '.join(most)}; {_TAKES}")
    curves = collect_squared_gradients(model, list(moments), itertools.islice(examples(batches), _CURVED), loss)
    weights = {n: _turned(model, n, w) for n in moments if bool((w := model.get_parameter(n).detach()).any())}
    if not weights:
        return {}
    ready = {n: [_Ready(m, damping) for m in moments[n]] for n in weights}
    relative = _relative_steps(weights, moments, curves, ready)
    count = sum(w.numel() for w in weights.values())

    def at(kappa: float) -> dict[str, Tensor]:
        steps = {n: max(kappa * relative[n], float(w.abs().max()) / most[n]) for n, w in weights.items()}
        return {n: _rounded(w, ready[n], steps[n], most[n]) for n, w in weights.items()}

    wide = {n: float(w.double().square().mean()) ** 0.5 / relative[n] for n, w in weights.items()}
    spread = sum(w.numel() * math.log2(wide[n]) for n, w in weights.items()) / count
    # a normal weight takes log₂(σ/Δ) + log₂ √(2πe) bits
    found = _searched(at, 2 ** (spread + 2.05 - rate), rate, count)
    return {n: _turned(model, n, t) for n, t in found.items()}


def _turned(model: nn.Module, name: str, weight: Tensor) -> Tensor:
    """A weight with a row an output, or back."""
    return weight.transpose(0, 1) if is_transposed(model, name) else weight


def _searched(at: Callable[[float], dict[str, Tensor]], kappa: float, rate: float, count: int) -> dict[str, Tensor]:
    """What takes nearly so many bits for each of count weights, and no more: a step twice as coarse takes about one less."""
    fine, coarse, most, best = 0.0, math.inf, -1.0, {}
    for _ in range(_TRIES):
        found = at(kappa)
        bits = 8 * sum(map(entropy_bytes, found.values())) / count
        if bits > rate:
            fine = kappa
        else:
            coarse = kappa
            if bits > most:
                most, best = bits, found
        if rate - _NEAR <= bits <= rate:
            break
        kappa *= 2 ** (bits - rate + _NEAR / 2)
        if not fine < kappa < coarse:
            kappa = math.sqrt(fine * coarse)
    return best or {n: torch.zeros_like(t) for n, t in found.items()}


class _Ready:
    """What rounding the rows of one group needs: the columns' order, and U of (XXᵀ)⁻¹ = UᵀU in that order."""

    def __init__(self, moment: Tensor, damping: float) -> None:
        matrix, _ = damped(moment.double(), damping)
        self.order = matrix.diagonal().argsort(descending=True, stable=True)
        backwards = self.order.flip(0)
        lower = torch.linalg.cholesky(matrix[backwards][:, backwards])  # its inverse, turned round, is U
        eye = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
        self.upper = torch.linalg.solve_triangular(lower, eye, upper=False).flip(0, 1)
        self.log_cost = float(-2 * self.upper.diagonal().log().mean())


def _rounded(weight: Tensor, ready: list[_Ready], step: float, most: int) -> Tensor:
    rows = weight.detach().reshape(len(weight), -1).double() / step
    parts = [_group(part, r, most) for part, r in zip(torch.split(rows, len(rows) // len(ready)), ready, strict=True)]
    return (torch.cat(parts) * step).to(weight.dtype).view(weight.shape)


def _group(rows: Tensor, ready: _Ready, most: int) -> Tensor:
    """Whole numbers; what a block's errors do to later columns is added up once a block."""
    left, upper = rows[:, ready.order], ready.upper.to(rows.device)
    kept, numbers = left != 0, torch.zeros_like(left)
    for block in _blocks(left.shape[1]):
        errors = torch.zeros_like(left[:, block])
        for j in range(block.start, block.stop):
            numbers[:, j] = left[:, j].round().clamp(-most, most) * kept[:, j]
            errors[:, j - block.start] = error = (left[:, j] - numbers[:, j]) / upper[j, j]
            left[:, j + 1 : block.stop] -= error[:, None] * upper[j, j + 1 : block.stop]
        left[:, block.stop :] -= errors @ upper[block, block.stop :]
    return torch.empty_like(numbers).index_copy_(1, ready.order.to(rows.device), numbers)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(i, min(i + _BLOCK, n)) for i in range(0, n, _BLOCK))


def _relative_steps(
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    curves: Mapping[str, Tensor],
    ready: Mapping[str, list[_Ready]],
) -> dict[str, float]:
    """1/√(f·g) of each layer; one that the loss does not feel, at all or nearly, gets the step of one it hardly feels."""
    felt = {}
    for n, w in weights.items():
        power = float(moments[n].diagonal(dim1=1, dim2=2).sum(1).mean())
        cost = sum(r.log_cost for r in ready[n]) / len(ready[n])
        felt[n] = float(curves[n].double().sum()) / len(w) / max(power, 1e-300) * math.exp(cost)
    least = 1e-6 * max(felt.values()) or 1.0
    return {n: 1 / math.sqrt(max(f, least)) for n, f in felt.items()}
