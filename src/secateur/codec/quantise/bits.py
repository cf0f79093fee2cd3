"""How many bits each layer gets: what each one loses on validation data, and the cheapest way down from there."""

from __future__ import annotations

import dataclasses as dc
import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...core.errors import ModelError, RecipeError
from .share import Share
from .sizes import entropy_bytes

__all__ = ["Cost", "choose_bits", "sensitivity"]

Evaluate = Callable[[nn.Module], float]
"""What a model is worth on validation data, the larger the better: an accuracy, or minus a loss."""


@dataclass(frozen=True)
class Cost:
    """A layer alone at so many bits: what the model is worth then, and the bytes that an ideal coder needs for the layer."""

    bits: int
    figure: float
    bytes: float


def sensitivity(
    model: nn.Module, evaluate: Evaluate, *, share: Share | None = None, bits: Sequence[int] = (1, 2, 3, 4, 5, 6, 8)
) -> dict[str, list[Cost]]:
    """Each layer that would be shared, alone, at several bits; the model is as it was afterwards.

    Args:
        model: pruned and trained.
        evaluate: what it is worth, on validation data.
        share: which layers, and how; None for ``Share()``.
        bits: what to try.

    Returns:
        Parameter name → one cost a number of bits, rising.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Linear(8, 8)
        >>> was = model.weight.detach().clone()
        >>> found = sensitivity(model, lambda m: -float((m.weight - was).norm()), bits=(1, 4))
        >>> found["weight"][0].figure < found["weight"][1].figure, found["weight"][0].bytes < found["weight"][1].bytes
        (True, True)
    """
    share, found = share or Share(), {}
    for name, parameter in _shared(model, share).items():
        row = []
        for b in sorted(set(bits)):
            tensor = _at(share, name, b).quantise(name, parameter)
            with _instead(model, {name: tensor}):
                row.append(Cost(b, evaluate(model), entropy_bytes(tensor)))
        found[name] = row
    if not found:
        raise ModelError(f"no parameter of this {type(model).__name__} is shared by {share.to_dict(minimal=True)}; give it bits")
    return found


def choose_bits(
    model: nn.Module,
    evaluate: Evaluate,
    *,
    budget: float | None = None,
    floor: float | None = None,
    share: Share | None = None,
    bits: Sequence[int] = (1, 2, 3, 4, 5, 6, 8),
) -> Share:
    """The same sharing with bits for each layer, by what each layer loses on validation data.

    From the most bits everywhere one layer at a time goes a step down, the one that loses least a byte saved; with a budget
    until an ideal coder's bytes fit in it, with a floor as far as the model, with all layers shared, is worth that much.

    Args:
        model: pruned and trained; as it was afterwards.
        evaluate: what it is worth, on validation data, the larger the better.
        budget: bytes of all parameters and buffers, without the file's header; give this or ``floor``.
        floor: the least that ``evaluate`` may give.
        share: which layers, and how; None for ``Share()``.
        bits: what to choose from.

    Raises:
        RecipeError: both or neither of budget and floor.
        ModelError: out of reach.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Linear(8, 8)
        >>> was = model.weight.detach().clone()
        >>> choose_bits(model, lambda m: -float((m.weight - was).norm()), budget=100).layers
        (('weight', 3),)
    """
    if (budget is None) == (floor is None):
        raise RecipeError("choose_bits takes a budget of bytes or a floor of what the model is worth, and one of the two; got "
                          f"budget={budget}, floor={floor}")  # fmt: skip
    share = share or Share()
    costs = sensitivity(model, evaluate, share=share, bits=bits)
    path = list(_way_down(costs))
    if budget is not None:
        rest = sum(entropy_bytes(t) for n, t in model.state_dict().items() if n not in costs)
        sizes = [rest + sum(costs[n][i].bytes for n, i in step.items()) for step in path]
        chosen = next((step for step, size in zip(path, sizes, strict=True) if size <= budget), None)
        if chosen is None:
            raise ModelError(f"{min(bits)} bits everywhere take about {sizes[-1]:.0f} bytes, and the budget is {budget:.0f}; "
                             "prune more, or give the budget more")  # fmt: skip
    else:
        chosen = _furthest(path, lambda step: _worth(model, evaluate, share, _bits(costs, step)) >= floor)  # type: ignore[operator]
        if chosen is None:
            raise ModelError(f"with {max(bits)} bits everywhere the model is worth less than {floor:g}; lower the floor or allow "
                             "more bits")  # fmt: skip
    named = tuple((glob.escape(n), b) for n, b in _bits(costs, chosen).items())
    return dc.replace(share, layers=(*named, *share.layers))


def _way_down(costs: Mapping[str, Sequence[Cost]]) -> Iterator[dict[str, int]]:
    """Each step of the greedy path, as the place in each layer's row."""
    now = {name: len(row) - 1 for name, row in costs.items()}
    yield dict(now)
    while movable := [n for n, i in now.items() if i > 0]:

        def price(name: str) -> float:
            above, below = costs[name][now[name]], costs[name][now[name] - 1]
            saved = above.bytes - below.bytes
            return (above.figure - below.figure) / saved if saved > 0 else float("inf")

        best = min(movable, key=price)
        now[best] -= 1
        yield dict(now)


def _furthest(path: Sequence[dict[str, int]], holds: Callable[[dict[str, int]], bool]) -> dict[str, int] | None:
    """The last step that holds, by bisection: what is worth less stays so further down, but for noise."""
    if not holds(path[0]):
        return None
    low, high = 0, len(path)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(path[middle]) else (low, middle)
    return path[low]


def _worth(model: nn.Module, evaluate: Evaluate, share: Share, bits: Mapping[str, int]) -> float:
    parameters = dict(model.named_parameters())
    with _instead(model, {n: _at(share, n, b).quantise(n, parameters[n]) for n, b in bits.items()}):
        return evaluate(model)


def _bits(costs: Mapping[str, Sequence[Cost]], step: Mapping[str, int]) -> dict[str, int]:
    return {name: costs[name][i].bits for name, i in step.items()}


def _at(share: Share, name: str, bits: int) -> Share:
    return dc.replace(share, layers=((glob.escape(name), bits),))


def _shared(model: nn.Module, share: Share) -> dict[str, nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if share.bits(n, p) and p.numel()}


@contextmanager
def _instead(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with other values in some parameters, inside."""
    parameters = dict(model.named_parameters())
    before = {n: parameters[n].detach().clone() for n in tensors}
    with torch.no_grad():
        try:
            for name, tensor in tensors.items():
                parameters[name].copy_(tensor)
            yield
        finally:
            for name, tensor in before.items():
                parameters[name].copy_(tensor)
