"""Batch-norm statistics for weights that have changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..core.errors import DataError, ModelError
from ..core.layers import unwrap
from ..core.statistics import Loss, run_batch, to_device

__all__ = ["batch_norms", "recalibrate_"]


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms of a model that keep running statistics.

    Args:
        model: any module.

    Example:
        >>> [type(m).__name__ for m in batch_norms(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LayerNorm(3)))]
        ['BatchNorm1d']
    """
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def recalibrate_(model: nn.Module, batches: Iterable[Any], *, examples: int = 1000, loss: Loss | None = None) -> int:
    r"""Take the running mean and variance of every batch norm anew, as plain averages over k training batches.

    .. math:: \mu \leftarrow \tfrac1k \sum_i \operatorname{mean}(x_i), \quad
              \sigma^2 \leftarrow \tfrac1k \sum_i \operatorname{var}(x_i)

    Nothing is learnt and no weight changes: batch norms alone run in training mode (dropout is off), without gradients.
    Training flags, momenta and ``.grad`` are afterwards as before; a batch norm that no batch reaches keeps its statistics.
    Under ``torch.distributed`` the statistics are averaged over the ranks, so that all evaluate alike.

    Args:
        model: changed in place.
        batches: training data, never test data, augmented as in training: (inputs, labels), mappings, or bare tensors.
        examples: how many to use, in whole batches: the batch that reaches the number is the last; all there are, if fewer.
        loss: ``loss(model, batch)``, which runs the model on batches of any other form.

    Returns:
        How many examples were used.

    Raises:
        ModelError: the model has no batch norm with running statistics (a layer norm has none to take).
        DataError: no batch, or a batch of a form that is not known.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> recalibrate_(norm, [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [9.0]])])
        4
        >>> norm.running_mean.tolist(), norm.running_var.tolist()
        ([4.5], [5.0])

    Source:
        for pruned networks B. Li et al., *EagleEye*, 2020, arXiv:2007.02491; before that for averaged weights, P. Izmailov
        et al., *Averaging Weights Leads to Wider Optima and Better Generalization*, 2018, arXiv:1803.05407.
    """
    if examples < 1:
        raise DataError(f"examples must be ≥ 1; got {examples}; recalibration usually takes 100 to 1000")
    model = unwrap(model)
    norms = batch_norms(model)
    if not norms:
        raise ModelError(
            f"this {type(model).__name__} has no batch norm with running statistics, so there is nothing to recalibrate"
        )
    with _only_norms_train(model, norms):
        seen = _run(model, batches, examples, loss)
    _average_over_ranks(norms)
    return seen


@contextmanager
def _only_norms_train(model: nn.Module, norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Statistics at zero and averaged cumulatively inside; flags and momenta put back, and after an error the statistics."""
    before = [{name: buffer.clone() for name, buffer in n.named_buffers()} for n in norms]
    modes, momenta = {m: m.training for m in model.modules()}, [n.momentum for n in norms]
    done = False
    try:
        for m in modes:
            m.training = False
        for n in norms:
            n.training, n.momentum = True, None
            n.reset_running_stats()
        yield
        done = True
    finally:
        for m, mode in modes.items():
            m.training = mode
        for n, momentum, old in zip(norms, momenta, before, strict=True):
            n.momentum = momentum
            if not done or not n.num_batches_tracked:
                for name, buffer in n.named_buffers():
                    buffer.copy_(old[name])


@torch.no_grad()
def _run(model: nn.Module, batches: Iterable[Any], examples: int, loss: Loss | None) -> int:
    device, seen = next(t.device for t in (*model.parameters(), *model.buffers())), 0
    for given in batches:
        batch = to_device(given, device)
        run_batch(model, batch, loss)
        seen += _size(batch)
        if seen >= examples:
            break
    if not seen:
        raise DataError("data holds no batch; recalibration wants at least one batch of training examples")
    return seen


def _size(batch: Any) -> int:
    """Examples in a batch: the first size of its first tensor; a batch without one counts as one."""
    if isinstance(batch, Tensor):
        return batch.shape[0] if batch.ndim else 1
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, Sequence) else ()
    return next((_size(p) for p in parts if isinstance(p, Tensor)), 1)


def _average_over_ranks(norms: Sequence[_BatchNorm]) -> None:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    for n in norms:
        for statistic in (n.running_mean, n.running_var):
            if statistic is not None:
                torch.distributed.all_reduce(statistic)
                statistic.div_(torch.distributed.get_world_size())
