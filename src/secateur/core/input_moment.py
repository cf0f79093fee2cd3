"""The second moment of what each layer reads: all that least squares on its outputs has to know."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .errors import DataError
from .statistics import Loss, left_alone, mean_over_ranks, run_batch, to_device

__all__ = ["collect_input_moments", "damped"]

_CHUNK = 1 << 22  # numbers unfolded at a time
_CONVS = {F.conv1d: 1, F.conv2d: 2, F.conv3d: 3}


def collect_input_moments(model: nn.Module, names: Sequence[str], data: Iterable[Any], loss: Loss | None) -> dict[str, Tensor]:
    """Σ x xᵀ over every input x that the rows of a weight multiply: ``[groups, n, n]`` for rows of n weights, as doubles.

    Convolutions are seen as the matrix ``[out, in·k·k]``, and x is a patch of their padded input. A weight that several
    layers share gets the sum. The model runs in evaluation mode and stays as it was.

    Args:
        model: the model.
        names: parameters wanted; those that no linear layer or convolution multiplies are left out of the answer.
        data: batches: (inputs, labels), mappings, or bare tensors.
        loss: ``loss(model, batch)``, which runs the model on batches of any other form.

    Raises:
        DataError: no batch, or a batch of a form that is not known.

    Example:
        >>> x = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
        >>> collect_input_moments(nn.Linear(2, 4), ["weight"], [x], None)["weight"].tolist()
        [[[10.0, 2.0], [2.0, 4.0]]]
    """
    wanted = {id(model.get_parameter(n)): n for n in names}
    device, empty = model.get_parameter(names[0]).device if names else torch.device("cpu"), True
    with left_alone(model), torch.no_grad(), _Reader(wanted) as reader:
        for batch in data:
            run_batch(model, to_device(batch, device), loss)
            empty = False
    if empty:
        raise DataError("data holds no batch; a score or recovery that needs inputs wants at least one batch of them")
    return {n: mean_over_ranks([m]) for n, m in reader.moments.items()}


def damped(moment: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """The moment with damping · its mean diagonal added to the diagonal, positive definite; and which inputs were ever there.

    An input that was always zero gets 1 on the diagonal: nothing is known of its weights. A damping too small to make the
    matrix positive definite is raised tenfold until it does.

    Args:
        moment: ``[n, n]``.
        damping: relative to the mean of the diagonal.

    Example:
        >>> matrix, there = damped(torch.tensor([[4.0, 0.0], [0.0, 0.0]], dtype=torch.float64), 0.5)
        >>> matrix.tolist(), there.tolist()
        ([[6.0, 0.0], [0.0, 1.0]], [True, False])
    """
    diagonal = moment.diagonal()
    there = diagonal > 0
    scale = float(diagonal[there].mean()) if bool(there.any()) else 1.0
    for relative in itertools.chain((damping,), (10.0**k for k in range(-12, 3))):
        if relative < damping:
            continue
        matrix = moment.clone()
        matrix.diagonal().copy_(torch.where(there, diagonal + relative * scale, 1.0))
        if not int(torch.linalg.cholesky_ex(matrix).info):
            break
    return matrix, there


class _Reader(TorchFunctionMode):
    """Sees each call of a linear layer or convolution, whoever makes it.

    Args:
        wanted: id of a parameter → its name.
    """

    def __init__(self, wanted: Mapping[int, str]) -> None:
        super().__init__()
        self._wanted, self.moments = wanted, dict[str, Tensor]()

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.linear or func in _CONVS:
            given = dict(zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)) | kwargs
            name = self._wanted.get(id(given["weight"]))
            if name is not None:
                self._add(name, _rows(given["input"]) if func is F.linear else _patches(_CONVS[func], **given))
        elif func is torch.addmm and len(args) == 3 and id(args[2]) in self._wanted:  # the Conv1D of Transformers
            self._add(self._wanted[id(args[2])], _rows(args[1]))
        return func(*args, **kwargs)

    def _add(self, name: str, inputs: Iterator[Tensor]) -> None:
        for x in inputs:
            x = x.double()
            product = x.transpose(1, 2) @ x
            self.moments[name] = self.moments[name] + product if name in self.moments else product


def _rows(x: Tensor) -> Iterator[Tensor]:
    """``[1, inputs, n]``."""
    yield x.reshape(1, -1, x.shape[-1])


def _patches(
    dims: int, input: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Iterator[Tensor]:  # fmt: skip
    """``[groups, patches, n]``, some examples at a time."""
    x = input if input.ndim == dims + 2 else input[None]
    kernel = weight.shape[2:]
    stride, dilation = _each(stride, dims), _each(dilation, dims)
    if isinstance(padding, str):
        totals = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
        sides = [(t // 2, t - t // 2) for t in totals]
    else:
        sides = [(p, p) for p in _each(padding, dims)]
    x = F.pad(x, [n for side in reversed(sides) for n in side])
    size = max(1, _CHUNK // (max(1, x[0].numel()) * kernel.numel()))
    for part in torch.split(x, size):
        for i, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
            part = part.unfold(2 + i, d * (k - 1) + 1, s)[..., ::d]
        # [b, c, *places, *kernel] to [groups, b·places, c/groups·kernel]
        part = torch.unflatten(part, 1, (groups, -1)).movedim(1, 0).movedim(2, 2 + dims)
        yield part.flatten(2 + dims).flatten(1, 1 + dims)


def _each(value: Any, dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else tuple(value) * (dims if len(value) == 1 else 1)
