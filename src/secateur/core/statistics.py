"""What a score may ask about a parameter beyond its values, and the passes that collect gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .errors import DataError

__all__ = [
    "Loss",
    "Statistics",
    "collect_gradients",
    "collect_squared_gradients",
    "default_loss",
    "examples",
    "gradients_of",
    "left_alone",
    "mean_over_ranks",
    "run_batch",
    "to_device",
]

Loss = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True)
class Statistics:
    """What is known of one parameter when it is scored.

    Args:
        name: the parameter's name.
        event: how many times the model was pruned before.
        gradient: mean of ∂L/∂w over the batches, same shape as the weight (for scores that need ``"gradient"``).
        learned: what training learned for each weight, same shape (for scores that need ``"learned"``).
        squared_gradient: mean of (∂L/∂w)² over the examples, one at a time (``"squared_gradient"``).
        hessian_gradient: H·g, with g the mean gradient of all scored weights and H its derivative (``"hessian_gradient"``).
        synaptic_flow: ∂R/∂|w|, R the outputs' sum of the network of absolute weights at an input of ones (``"synaptic_flow"``).
        input_moment: Σ x xᵀ over the inputs x that the rows of the weight multiply, ``[groups, n, n]`` for rows of n weights
            (``"input_moment"``).
    """

    name: str
    event: int = 0
    gradient: Tensor | None = None
    learned: Tensor | None = None
    squared_gradient: Tensor | None = None
    hessian_gradient: Tensor | None = None
    synaptic_flow: Tensor | None = None
    input_moment: Tensor | None = None


def default_loss(model: nn.Module, batch: Any) -> Tensor:
    """The loss of a batch when none is given: ``model(**batch).loss`` for a mapping, cross-entropy for (inputs, labels)."""
    if isinstance(batch, Mapping):
        loss = getattr(model(**batch), "loss", None)
        if isinstance(loss, Tensor):
            return loss
    elif isinstance(batch, Sequence) and len(batch) == 2 and isinstance(batch[1], Tensor) and not batch[1].is_floating_point():
        output = model(batch[0])
        if isinstance(output, Tensor) and output.ndim == batch[1].ndim + 1:
            if output.ndim > 2:  # language models: classes last
                output = output.flatten(0, -2)
            return nn.functional.cross_entropy(output, batch[1].flatten())
    raise DataError(
        f"no loss is known for a batch of type {type(batch).__name__}; batches are (inputs, integer labels) or a mapping the "
        "model takes and answers with .loss; otherwise pass loss=lambda model, batch: ..."
    )


def collect_gradients(model: nn.Module, names: Sequence[str], data: Iterable[Any], loss: Loss | None) -> dict[str, Tensor]:
    """Mean gradient of the loss over the batches, in evaluation mode; the model, its ``.grad`` and its buffers stay as they were.

    Under ``torch.distributed`` the mean is taken over all ranks, so that every rank prunes alike.

    Args:
        model: the model.
        names: parameters wanted.
        data: batches, see ``default_loss``.
        loss: ``loss(model, batch)`` → scalar; None for ``default_loss``.

    Raises:
        DataError: no batch, or a batch no loss is known for.
    """
    sums: list[Tensor] | None = None
    count = 0
    for found in gradients_of(model, names, data, loss):
        grads = [found[n] for n in names]
        sums = grads if sums is None else [s.add_(g) for s, g in zip(sums, grads, strict=True)]
        count += 1
    return {n: _over_ranks(s.div_(count)) for n, s in zip(names, sums or [], strict=True)}


def gradients_of(model: nn.Module, names: Sequence[str], data: Iterable[Any], loss: Loss | None) -> Iterator[dict[str, Tensor]]:
    """The gradient of each batch in turn, as ``collect_gradients`` takes it."""
    parameters = [model.get_parameter(n) for n in names]
    empty = True
    with left_alone(model, parameters):
        for batch in data:
            with torch.enable_grad():
                value = (loss or default_loss)(model, to_device(batch, parameters[0].device))
                found = torch.autograd.grad(value, parameters, allow_unused=True)
            empty = False
            yield {n: torch.zeros_like(p) if g is None else g.detach() for n, g, p in zip(names, found, parameters, strict=True)}
    if empty:
        raise DataError("data holds no batch; a score that needs gradients wants at least one batch of (inputs, labels)")


def collect_squared_gradients(
    model: nn.Module, names: Sequence[str], data: Iterable[Any], loss: Loss | None
) -> dict[str, Tensor]:
    """Mean over the examples of the square of each one's gradient: the diagonal of the empirical Fisher matrix.

    Args:
        model: left as it was.
        names: parameters wanted.
        data: batches, which are cut into single examples.
        loss: ``loss(model, batch)`` → scalar; None for ``default_loss``.

    Raises:
        DataError: no batch, or a batch no loss is known for.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for found in gradients_of(model, names, examples(data), loss):
        sums = {n: g.square() if n not in sums else sums[n].addcmul_(g, g) for n, g in found.items()}
        count += 1
    return {n: _over_ranks(s.div_(count)) for n, s in sums.items()}


@contextmanager
def left_alone(model: nn.Module, parameters: Iterable[Tensor] = ()) -> Iterator[None]:
    """Evaluation mode, with gradients of these parameters, inside; modes, flags and buffers as they were afterwards."""
    frozen = [p for p in parameters if not p.requires_grad]
    training = {m: m.training for m in model.modules()}
    buffers = [(m, n, b, b.clone()) for m in training for n, b in m.named_buffers(recurse=False)]
    try:
        model.eval()
        for p in frozen:
            p.requires_grad_(True)
        yield
    finally:
        for m, mode in training.items():
            m.training = mode
        for p in frozen:
            p.requires_grad_(False)
        with torch.no_grad():
            for m, n, b, before in buffers:
                setattr(m, n, b)  # a forward may put another in its place
                if not torch.equal(b, before):
                    b.copy_(before)


def run_batch(model: nn.Module, batch: Any, loss: Loss | None) -> None:
    """Run the model on a batch: (inputs, labels), a mapping or a tensor; of any other form, as ``loss`` does."""
    inputs = batch[0] if isinstance(batch, Sequence) and not isinstance(batch, str) and batch else batch
    if loss is not None:
        loss(model, batch)
    elif isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(inputs, Tensor):
        model(inputs)
    else:
        raise DataError(
            f"no way is known to run the model on a batch of type {type(batch).__name__}; batches are (inputs, labels), a "
            "mapping the model takes, or a tensor; otherwise pass loss=lambda model, batch: ..."
        )


def examples(data: Iterable[Any]) -> Iterator[Any]:
    """Batches of one example each, cut out of the batches given.

    Example:
        >>> [x.tolist() for x, _ in examples([(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1]))])]
        [[[1.0]], [[2.0]]]
    """
    for batch in data:
        tensors = [x for x in pytree.tree_leaves(batch) if isinstance(x, Tensor) and x.ndim]
        if not tensors:
            raise DataError(f"a batch of type {type(batch).__name__} holds no tensor to cut into single examples")
        size = tensors[0].shape[0]
        for i in range(size):
            one = slice(i, i + 1)
            yield pytree.tree_map(lambda x: x[one] if isinstance(x, Tensor) and x.ndim and x.shape[0] == size else x, batch)  # noqa: B023


def mean_over_ranks(found: Sequence[Tensor]) -> Tensor:
    """The mean of equal shapes, over all ranks of ``torch.distributed`` too."""
    return _over_ranks(torch.stack(list(found)).mean(0))


def _over_ranks(value: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value.div_(torch.distributed.get_world_size())
    return value


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {k: to_device(v, device) for k, v in batch.items()}
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        moved = [to_device(v, device) for v in batch]
        return tuple(moved) if isinstance(batch, tuple) else moved
    return batch
