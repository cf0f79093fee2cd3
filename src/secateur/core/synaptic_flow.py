"""What flows through each weight of the network of absolute weights, without data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.utils import _pytree as pytree

from .errors import ModelError
from .statistics import left_alone, to_device

__all__ = ["collect_synaptic_flow"]


def collect_synaptic_flow(model: nn.Module, names: Sequence[str], inputs: Any) -> dict[str, Tensor]:
    r"""The gradient of R, the summed output of the network of absolute weights at an input of ones, as doubles.

    .. math:: R = \mathbf 1^\top \bigl( \textstyle\prod_l |\theta^{[l]}| \bigr) \mathbf 1; \quad \partial R / \partial |\theta|

    Biases and shifts are no part of R: they are zero here, and a norm layer only scales, by |γ| (a batch norm by
    |γ| / √(σ² + ε)). What comes in flows out of every hidden neuron then, where activations pass positive values on.

    Args:
        model: left as it was; its parameters are not even written to.
        names: parameters wanted.
        inputs: what ``forward`` takes: a tensor, a tuple of positional arguments or a mapping of keyword arguments. Numbers
            become ones, whole numbers (tokens) stay what they are.

    Raises:
        ModelError: the output holds no numbers, or too large ones.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
        >>> model[0].weight, model[2].weight = nn.Parameter(torch.tensor([[-1.0, 2.0]])), nn.Parameter(torch.tensor([[-3.0]]))
        >>> flow = collect_synaptic_flow(model, ["0.weight", "2.weight"], torch.zeros(1, 2))
        >>> flow["0.weight"].tolist(), flow["2.weight"].tolist()
        ([[3.0, 3.0]], [[3.0]])

    Source:
        Tanaka et al., *Pruning neural networks without any data by iteratively conserving synaptic flow*, 2020,
        arXiv:2006.05467.
    """
    parameters = {n: _flowing(n, p) for n, p in model.named_parameters()}
    buffers = {n: b.double() if b.is_floating_point() else b.clone() for n, b in model.named_buffers()}
    wanted = [parameters[n].requires_grad_(True) for n in names]
    args, kwargs = _ones(to_device(inputs, wanted[0].device))
    with left_alone(model), _scaling_norms(model), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        output = torch.func.functional_call(model, {**parameters, **buffers}, args, kwargs)
        numbers = [x for x in pytree.tree_leaves(output) if isinstance(x, Tensor) and x.is_floating_point() and x.ndim]
        if not numbers:
            raise ModelError(f"synaptic flow needs a model whose output holds numbers; {type(model).__name__} gives none")
        total = sum(x.double().sum() for x in numbers)
        found = torch.autograd.grad(total, wanted, allow_unused=True)  # type: ignore[arg-type]
    if not all(g is None or bool(g.isfinite().all()) for g in found):
        raise ModelError("the synaptic flow of this model is too large for a double: scale its weights or its norms down first")
    return {n: torch.zeros_like(p) if g is None else g for n, g, p in zip(names, found, wanted, strict=True)}


def _flowing(name: str, parameter: Tensor) -> Tensor:
    value = parameter.detach().abs().double()
    return torch.zeros_like(value) if name.rpartition(".")[2].startswith("bias") else value


def _ones(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def one(x: Any) -> Any:
        return torch.ones_like(x, dtype=torch.float64) if isinstance(x, Tensor) and x.is_floating_point() else x

    if isinstance(inputs, Mapping):
        return (), {k: pytree.tree_map(one, v) for k, v in inputs.items()}
    return tuple(pytree.tree_map(one, x) for x in (inputs if isinstance(inputs, tuple) else (inputs,))), {}


@contextmanager
def _scaling_norms(model: nn.Module) -> Iterator[None]:
    """Norm layers that only scale, inside."""
    norms = [m for m in model.modules() if "Norm" in type(m).__name__ and not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(_scaled) for m in norms]
    try:
        yield
    finally:
        for h in hooks:
            h.remove()


def _scaled(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    """The input by |γ| (γ is positive already), and by 1/√(σ² + ε) where there is a running variance."""
    if not (args and isinstance(args[0], Tensor) and isinstance(output, Tensor) and args[0].shape == output.shape):
        return output
    x, weight, variance = args[0], getattr(module, "weight", None), getattr(module, "running_var", None)
    scale = torch.ones((), dtype=x.dtype, device=x.device) if weight is None else weight
    if isinstance(variance, Tensor):
        scale = scale / (variance + getattr(module, "eps", 0.0)).sqrt()
    channels = isinstance(module, _NormBase | nn.GroupNorm) or x.shape[x.ndim - scale.ndim :] != scale.shape
    if channels and scale.ndim:  # channels come second
        scale = scale.view(-1, *[1] * (x.ndim - 2))
    return x * scale
