"""``secateur.compile``: a pruned model as a program that skips its zeros."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..codec.read import load
from ..core.errors import ModelError
from ..graph.trace import ExampleInputs, call, plain_inputs, split_inputs, unwrap
from .compiled import Compiled
from .fuse import fuse
from .kept import read_picks
from .read import read

__all__ = ["TOLERANCE", "compile"]

TOLERANCE = 1e-4


def compile(
    model: nn.Module,
    example_inputs: ExampleInputs,
    *,
    threads: int | None = None,
    seconds: float = 10.0,
    vectors: str | None = None,
    file: str | os.PathLike[str] | None = None,
) -> Compiled:
    """Compile a model for this CPU, so that weights that are zero cost no time.

    The model is exported in evaluation mode, batch norms are folded into weights, and every layer gets the kernel that was
    quickest here: sparse where that pays, dense where it does not, torch for what has no kernel; ``print`` of the result says
    which and why. The batch size stays open where the model leaves it open. The model itself is not changed, and later changes
    of its weights are not seen.

    ``max|fast(x) − model(x)| ≤ 10⁻⁴ · max|model(x)|`` is checked on the example inputs, in float32.

    Args:
        model: any module of float32 parameters on the CPU; pruned or not.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        threads: that share one call; by default torch's present number. Can be set on the result, too.
        seconds: budget for trying kernels; layers that it does not reach get the likeliest. What was found is kept on disk.
        vectors: ``"avx512"``, ``"avx2"`` or ``"neon"``; by default the widest that this CPU has.
        file: one that ``save`` or ``compress`` wrote of this class: its weights are taken instead of the model's own, which stay.
            If it was written with ``metadata={"kernels": compiled}``, its choices of kernels are, too, without trials: with
            the same vectors, batch and threads the result is that compiled model's, bit for bit.

    Raises:
        ModelError: the model cannot be exported, is not on the CPU, or its compiled outputs differ.
        FormatError: the file is corrupt, or of another model.

    Example:
        >>> net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        >>> fast = compile(net, torch.randn(4, 64), seconds=0)
        >>> fast(torch.randn(9, 64)).shape
        torch.Size([9, 10])
    """
    model = unwrap(model)
    example_inputs = plain_inputs(example_inputs)
    _on_cpu(model)
    if file is not None:
        model = load(file, copy.deepcopy(model))
    graph = fuse(read(model, example_inputs))
    fast = Compiled(graph, torch.get_num_threads() if threads is None else threads, vectors, {})
    if file is not None:
        fast.picks = read_picks(file, fast.target.name if fast.target else None)
    args, kwargs = split_inputs(example_inputs)
    expected = _eager(model, example_inputs)
    fast.tune(seconds, args, kwargs)
    error = _difference(fast(*args, **kwargs), expected)
    if not error <= TOLERANCE:
        raise ModelError(
            f"the compiled {type(model).__name__} differs from the model by {error:.0e} of its largest output; up to "
            f"{TOLERANCE:.0e} is rounding: please report this model"
        )
    fast.measure(args, kwargs, error)
    return fast


def _on_cpu(model: nn.Module) -> None:
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.device.type != "cpu":
            raise ModelError(f"{name} is on {tensor.device}; compile is for CPUs: move the model with .cpu()")


def _eager(model: nn.Module, example_inputs: ExampleInputs) -> list[Any]:
    """What the model gives in evaluation mode, flat."""
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            out = call(model, example_inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return _flat(out)


def _flat(out: Any) -> list[Any]:
    if hasattr(out, "to_tuple"):
        out = out.to_tuple()
    return [x for x in pytree.tree_leaves(out) if isinstance(x, Tensor)]


def _difference(out: Any, expected: list[Any]) -> float:
    """The largest difference of an output / the largest value of it; what is not finite must be the same."""
    found = _flat(out)
    if [x.shape for x in found] != [x.shape for x in expected]:
        raise ModelError(f"the compiled model gives {len(found)} tensors of other shapes than the model's {len(expected)}")
    worst = 0.0
    for a, b in zip(found, expected, strict=True):
        a, b = a.double(), b.double()
        finite = b.isfinite()
        if not torch.equal(torch.where(finite, 0.0, a).nan_to_num(7.0), torch.where(finite, 0.0, b).nan_to_num(7.0)):
            return float("inf")
        if finite.any():
            scale = float(b[finite].abs().max()) or 1.0
            worst = max(worst, float((a - b)[finite].abs().nan_to_num(torch.inf).max()) / scale)
    return worst
