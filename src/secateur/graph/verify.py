"""Whether a shrunken model computes what the masked one did: both are run, in double precision, call by call."""

from __future__ import annotations

import dataclasses as dc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from .record import LOOKS, numbers
from .source import here
from .trace import ExampleInputs, batch_size, call, no_fast_path, quiet, untouched

__all__ = [
    "Answer", "Failure", "Run", "Step", "answer", "as_traced", "changed", "difference", "double", "first_line", "in_double",
    "one_more", "tensors_of",
]  # fmt: skip

_HALVES = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = {"float": "double", "half": "double", "bfloat16": "double"}


class Failure(Exception):
    """Where a shrunken model went another way.

    Args:
        text: what happened.
        call: the number of the call, if one is known.
        elsewhere: the cause is not in what the call takes or gives.
    """

    def __init__(self, text: str, call: int | None = None, *, elsewhere: bool = False) -> None:
        super().__init__(text)
        self.text, self.call, self.elsewhere = text, call, elsewhere


@dc.dataclass(frozen=True)
class Step:
    """A call as it ran: its name, the numbers it computes with, and the shapes it returned."""

    name: str
    numbers: tuple[float, ...]
    shapes: tuple[tuple[int, ...], ...]


class Run(TorchFunctionMode):
    """Runs forward and notes every call.

    Args:
        follow: the calls of the dense model, which must have the same numbers.
        expect: for a call's number the shapes it must return, or None when nothing is known.
        precise: in double precision.
    """

    def __init__(
        self,
        follow: Sequence[Step] | None = None,
        expect: Callable[[int], Sequence[tuple[int, ...]] | None] | None = None,
        *,
        precise: bool = True,
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._follow, self._expect, self.precise, self._dense = follow, expect, precise, follow is None

    def begin(self, model: nn.Module) -> None:
        """Nothing: the model runs as it is."""

    enter = begin

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", str(func)), kwargs or {}
        if name in LOOKS:
            return func(*args, **kwargs)
        used = tuple(numbers(name, args, kwargs))
        self._compare(name, used)
        out = self._run(name, func, args, kwargs)
        shapes = tuple(tuple(x.shape) for x in pytree.tree_leaves(out) if isinstance(x, Tensor))
        expected = self._expect(len(self.steps)) if self._expect is not None else None
        if expected is not None and tuple(map(tuple, expected)) != shapes:
            raise self._failure(f"{name} would give {_listed(shapes)} instead of {_listed(expected)}")
        self.steps.append(Step(name, used, shapes))
        return out

    def _compare(self, name: str, used: tuple[float, ...]) -> None:
        """A call is the dense model's, with its numbers; from where forward takes another way, only results are compared."""
        if self._follow is None:
            return
        at = len(self.steps)
        if at == len(self._follow) or self._follow[at].name != name:
            if not self.precise:  # no results
                raise self._failure(f"forward would go another way and call {name}", elsewhere=True)
            self._follow = self._expect = None
            return
        before = self._follow[at].numbers
        same = (math.isclose(a, b, rel_tol=1e-9) or a != a for a, b in zip(before, used, strict=False))
        if len(before) != len(used) or not all(same):
            raise self._failure(f"{name} would compute with another number, which follows from a size", elsewhere=True)

    def _failure(self, text: str, *, elsewhere: bool = False) -> Failure:
        where = here()
        return Failure(f"{text} ({where})" if where else text, len(self.steps), elsewhere=elsewhere)

    def _run(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        if self.precise:
            args, kwargs = pytree.tree_map(double, (args, kwargs))
            func = in_double(name, getattr(Tensor, _CASTS[name]) if name in _CASTS else func)
        try:
            out = func(*args, **kwargs)
        except Exception as e:
            if self._dense:
                raise
            raise self._failure(f"{name} does not fit: {first_line(e)}") from e
        return pytree.tree_map(double, out) if self.precise else out


def in_double(name: str, func: Any) -> Any:
    """What to call instead where PyTorch has an operation in less than double precision only."""
    return _grouped if name in ("_grouped_mm", "grouped_mm") else func


def _grouped(a: Tensor, b: Tensor, offs: Tensor, bias: Tensor | None = None, out_dtype: Any = None) -> Tensor:
    """Rows of ``a`` up to ``offs[k]`` times ``b[k]``; the rest are zero."""
    ends = offs.tolist()
    out = a.new_zeros(len(a), b.shape[-1])
    for k, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        out[start:end] = a[start:end] @ b[k]
    return out if bias is None else out + bias


def first_line(e: BaseException) -> str:
    """What an error says, in short."""
    return next((line.strip()[:160] for line in str(e).splitlines() if line.strip()), type(e).__name__)


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
    run, inputs = run or Run(), pytree.tree_map(double, inputs)
    with untouched(model), _buffers_of_its_own(model), quiet(), no_fast_path(), torch.no_grad(), _same_random():
        model.eval()
        with run, _default(torch.float64 if run.precise else torch.get_default_dtype()):
            out = call(model, inputs)
        return Answer(tuple(tensors_of(out)), tuple(run.steps))


@contextmanager
def _buffers_of_its_own(model: nn.Module) -> Iterator[None]:
    """Forward may write into buffers: it gets copies of them."""
    before = [(b, b.data) for b in model.buffers()]
    try:
        for b, data in before:
            b.data = data.clone()
        yield
    finally:
        for b, data in before:
            b.data = data


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    """What forward makes anew is of this type too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


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


def changed(inputs: ExampleInputs, seed: int = 0) -> Any:
    """Other inputs of the same kind: floating-point ones moved at random, integers in another order.

    Where that changes nothing, as in a sentence of one word, every other integer of the first tensor becomes its neighbour.

    Example:
        >>> changed((torch.tensor([[1, 2, 3]]),)), changed((torch.tensor([[0, 0, 0]]),))
        ((tensor([[3, 1, 2]]),), (tensor([[1, 0, 1]]),))
    """
    random = torch.Generator().manual_seed(seed)
    leaves, structure = pytree.tree_flatten(inputs)
    batch = batch_size(inputs)
    tensors = {k: x for k, x in enumerate(leaves) if isinstance(x, Tensor) and x.dim() and x.shape[0] == batch}
    examples = [k for k, x in tensors.items() if x.dtype != torch.bool]
    new = {k: _moved(leaves[k], random, seed) for k in examples}
    if examples and all(not x.is_meta and torch.equal(x, leaves[k]) for k, x in new.items()):
        new[examples[0]] = _neighbours(leaves[examples[0]])
    return pytree.tree_unflatten([new.get(k, x) for k, x in enumerate(leaves)], structure)


def _moved(x: Tensor, random: torch.Generator, seed: int) -> Tensor:
    if not x.is_floating_point():
        return x.roll(seed + 1, -1)
    noise = torch.randn(x.shape, generator=random, dtype=torch.float64).to(x.device, x.dtype)
    return x + noise * (0.1 if x.is_meta else max(0.1, float(x.double().std(correction=0))))


def _neighbours(x: Tensor) -> Tensor:
    other = torch.where(x > 0, x - 1, x + 1)
    other[..., 1::2] = x[..., 1::2]
    return other


def as_traced(inputs: ExampleInputs, batch: int) -> Any:
    """Inputs with as many examples as were traced: one alone is joined by a changed one."""
    if batch > 1 and batch_size(inputs) == 1:
        return one_more(inputs)
    return inputs


def one_more(inputs: ExampleInputs) -> Any:
    """The inputs with one example more, a changed one."""
    batch = batch_size(inputs)

    def joined(x: Any, other: Any) -> Any:
        return torch.cat([x, other[:1]]) if isinstance(x, Tensor) and x.dim() and x.shape[0] == batch else x

    return pytree.tree_map(joined, inputs, changed(inputs))
