"""The product of the Hessian and the gradient: one vector, by differentiating twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm

from .errors import DataError, ModelError
from .statistics import Loss, default_loss, left_alone, mean_over_ranks, to_device

__all__ = ["collect_hessian_gradients"]


def collect_hessian_gradients(
    model: nn.Module, names: Sequence[str], data: Iterable[Any], loss: Loss | None, *, temperature: float = 1.0
) -> dict[str, Tensor]:
    r"""H·g of the mean loss over the batches, g and H over the named parameters: the gradient of ½‖g‖².

    .. math:: g = \tfrac1k \sum_i \nabla L_i, \qquad Hg = \tfrac1k \sum_i \nabla \langle \nabla L_i, g \rangle

    where g is a constant in the second sum. Batch norms use the statistics of the batch, and their own stay as they were;
    all else runs in evaluation mode.

    Args:
        model: left as it was.
        names: parameters wanted.
        data: batches, gone through twice.
        loss: ``loss(model, batch)`` → scalar; None for the default.
        temperature: what the model's output is divided by before the loss sees it.

    Raises:
        DataError: no batch, or a batch no loss is known for.
        ModelError: a temperature for a model whose output is no tensor.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> model.weight = nn.Parameter(torch.tensor([[1.0, 2.0]]))
        >>> quadratic = lambda model, batch: (model.weight * batch * model.weight).sum() / 2  # H = diag(batch)
        >>> collect_hessian_gradients(model, ["weight"], [torch.tensor([[3.0, 0.5]])], quadratic)["weight"].tolist()
        [[9.0, 0.5]]

    Source:
        B. Pearlmutter, *Fast Exact Multiplication by the Hessian*, 1994, for the product.
    """
    batches = list(data) if isinstance(data, Iterator) else data
    parameters = [model.get_parameter(n) for n in names]
    zeros, count = [torch.zeros_like(p, requires_grad=False) for p in parameters], 0
    gradient, product = zeros, [z.clone() for z in zeros]
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    with left_alone(model, parameters), _divided(model, temperature), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        for m in norms:
            m.training = True
        for batch in batches:
            value = (loss or default_loss)(model, to_device(batch, parameters[0].device))
            _add(gradient, torch.autograd.grad(value, parameters, allow_unused=True))
            count += 1
        if not count:
            raise DataError("data holds no batch; a score that needs gradients wants at least one batch of (inputs, labels)")
        gradient = [mean_over_ranks([g / count]) for g in gradient]
        for batch in batches:
            value = (loss or default_loss)(model, to_device(batch, parameters[0].device))
            found = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
            inner = sum(((f * g).sum() for f, g in zip(found, gradient, strict=True) if f is not None), value.new_zeros(()))
            if inner.requires_grad:  # the gradient of a linear loss is a constant
                _add(product, torch.autograd.grad(inner, parameters, allow_unused=True))
    return {n: mean_over_ranks([p / count]) for n, p in zip(names, product, strict=True)}


def _add(sums: Sequence[Tensor], found: Sequence[Tensor | None]) -> None:
    for s, f in zip(sums, found, strict=True):
        if f is not None:
            s.add_(f.detach())


@contextmanager
def _divided(model: nn.Module, temperature: float) -> Iterator[None]:
    """The model's output divided by a temperature inside."""

    def divide(module: nn.Module, args: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ModelError(
                f"a temperature divides the model's output, which must be a tensor; this {type(model).__name__} gives a "
                f"{type(output).__name__}; use temperature=1"
            )
        return output / temperature

    hook = None if temperature == 1 else model.register_forward_hook(divide)
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()
