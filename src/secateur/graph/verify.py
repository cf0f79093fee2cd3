"""Whether a shrunken model computes what the masked one did: both are run, in double precision, call by call."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from .record import LOOKS
from .trace import ExampleInputs, batch_size, call, no_fast_path, quiet, untouched

__all__ = ["Answer", "Failure", "Run", "answer", "changed", "difference", "double"]

_HALVES = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = {"float": "double", "half": "double", "bfloat16": "double"}


class Failure(Exception):
    """Where a shrunken model went another way.

    Args:
        text: what happened.
        call: the number of the call, if one is known.
    """

    def __init__(self, text: str, call: int | None = None) -> None:
        super().__init__(text)
        self.text, self.call = text, call


@dc.dataclass(frozen=True)
class Step:
    """A call as it ran: its name, its floating-point arguments, and the shapes it returned."""

    name: str
    floats: tuple[float, ...]
    shapes: tuple[tuple[int, ...], ...]


class Run(TorchFunctionMode):
    """Runs forward in double precision and notes every call.

    Args:
        follow: the calls of the dense model, which must be the same ones with the same floating-point arguments.
        expect: for a call's number the shapes it must return, or None when nothing is known.
    """

    def __init__(
        self, follow: Sequence[Step] | None = None, expect: Callable[[int], Sequence[tuple[int, ...]] | None] | None = None
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._follow, self._expect = follow, expect

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", str(func))
        if name in LOOKS:
            return func(*args, **(kwargs or {}))
        number = len(self.steps)
        floats = tuple(x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, float))
        if self._follow is not None and (number >= len(self._follow) or self._follow[number].name != name):
            raise Failure(
                f"forward takes another way: it calls {name} ({number})", number if number < len(self._follow) else None
            )
        if self._follow is not None and self._follow[number].floats != floats:
            raise Failure(f"a floating-point argument of {name} follows a size", number)
        out = self._run(number, name, func, args, kwargs or {})
        shapes = tuple(tuple(x.shape) for x in pytree.tree_leaves(out) if isinstance(x, Tensor))
        expected = self._expect(number) if self._expect is not None else None
        if expected is not None and tuple(map(tuple, expected)) != shapes:
            raise Failure(f"{name} gives {_listed(shapes)} where {_listed(expected)} was to come", number)
        self.steps.append(Step(name, floats, shapes))
        return out

    def _run(self, number: int, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = pytree.tree_map(double, (args, kwargs))
        if name in _CASTS:
            func = getattr(Tensor, _CASTS[name])
        try:
            return pytree.tree_map(double, func(*args, **kwargs))
        except Exception as e:
            if self._follow is None:
                raise
            raise Failure(f"{name} does not fit: {str(e).splitlines()[0][:160] if str(e) else type(e).__name__}", number) from e


def double(x: Any) -> Any:
    """A tensor, or a floating-point type, in double precision; anything else as it is."""
    if isinstance(x, Tensor):
        return x.double() if x.dtype in _HALVES else x
    return torch.float64 if x in _HALVES and isinstance(x, torch.dtype) else x


def _listed(shapes: Sequence[Sequence[int]]) -> str:
    return " and ".join(str(list(s)) for s in shapes) or "nothing"


@dc.dataclass(frozen=True, eq=False)
class Answer:
    """What a model gives for some inputs: its tensors in double precision, and the calls that made them."""

    tensors: tuple[Tensor, ...]
    steps: tuple[Step, ...]


def answer(model: nn.Module, inputs: ExampleInputs, run: Run | None = None) -> Answer:
    """Run a model in evaluation mode and double precision; the model is left as it was.

    Raises:
        Failure: the run does not follow what was asked of it.
    """
    run = run or Run()
    with untouched(model), quiet(), no_fast_path(), torch.no_grad(), _same_random():
        model.eval()
        with run:
            out = call(model, pytree.tree_map(double, inputs))
        return Answer(tuple(tensors_of(out)), tuple(run.steps))


@contextmanager
def _same_random() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def tensors_of(out: Any) -> Iterator[Tensor]:
    """The real tensors of any output, also of a Transformers one; in double precision."""
    if isinstance(out, Tensor):
        if out.is_floating_point() or out.is_complex():
            yield (torch.view_as_real(out) if out.is_complex() else out).double()
    elif dc.is_dataclass(out) and not isinstance(out, type):
        for f in dc.fields(out):
            yield from tensors_of(getattr(out, f.name))
    elif isinstance(out, dict):
        for value in out.values():
            yield from tensors_of(value)
    elif isinstance(out, list | tuple):
        for value in out:
            yield from tensors_of(value)


def difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest relative difference of two lists of tensors, ‖a − b‖ / ‖b‖; infinite when their shapes differ.

    Example:
        >>> difference([torch.ones(2)], [torch.ones(2)])
        0.0
    """
    if len(a) != len(b) or any(x.shape != y.shape for x, y in zip(a, b, strict=True)):
        return float("inf")
    return max((_relative(x, y) for x, y in zip(a, b, strict=True)), default=0.0)


def _relative(a: Tensor, b: Tensor) -> float:
    finite = torch.isfinite(b)
    if not bool((torch.isfinite(a) == finite).all()) or not bool((a[~finite].nan_to_num() == b[~finite].nan_to_num()).all()):
        return float("inf")
    a, b = a[finite], b[finite]
    distance, size = float((a - b).norm()), float(b.norm())
    return distance / size if size else distance


def changed(inputs: ExampleInputs) -> Any:
    """Other inputs of the same kind: floating-point ones moved at random, integers in another order.

    Example:
        >>> changed((torch.tensor([[1, 2, 3]]),))
        (tensor([[3, 1, 2]]),)
    """
    random = torch.Generator().manual_seed(0)
    batch = batch_size(inputs)

    def other(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.dim() or x.shape[0] != batch or x.dtype == torch.bool:
            return x
        if x.is_floating_point():
            noise = torch.randn(x.shape, generator=random, dtype=torch.float64).to(x.device, x.dtype)
            return x + noise * max(0.1, float(x.double().std(correction=0)) if not x.is_meta else 0.1)
        return x.roll(1, -1)

    return pytree.tree_map(other, inputs)
