"""Models in double precision, also where their own code asks for less."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

LESS = (torch.float32, torch.float16, torch.bfloat16)


def in_double(x: Any) -> Any:
    """Tensors and types of floating point in double precision; anything else as it is."""
    if isinstance(x, Tensor):
        return x.double() if x.dtype in LESS else x
    return torch.float64 if isinstance(x, torch.dtype) and x in LESS else x


def double_copy(model: nn.Module) -> nn.Module:
    """A copy of the model in double precision."""
    return copy.deepcopy(model).double()


class InDouble(TorchFunctionMode):
    """Norms, softmaxes and masks that are computed in single precision by the model's own code are not."""

    def __enter__(self) -> Any:
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        torch.set_default_dtype(self._default)

    def __torch_function__(self, f: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(f, "__name__", "")
        if name in ("float", "half", "bfloat16"):
            f = Tensor.double
        elif name in ("_grouped_mm", "grouped_mm"):  # PyTorch has it in single precision only
            f = grouped_matmul
        args, kwargs = pytree.tree_map(in_double, (args, kwargs or {}))
        return pytree.tree_map(in_double, f(*args, **kwargs))


def grouped_matmul(a: Tensor, b: Tensor, *, offs: Tensor, bias: Tensor | None = None, out_dtype: Any = None) -> Tensor:
    """Rows of ``a`` up to ``offs[k]`` times ``b[k]``."""
    starts = [0, *offs.tolist()]
    parts = [a[i:j] @ b[k] for k, (i, j) in enumerate(pairwise(starts))]
    out = torch.cat([*parts, a.new_zeros(len(a) - starts[-1], b.shape[-1])])
    return out if bias is None else out + bias
