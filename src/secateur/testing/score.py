"""What holds of every score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..core.errors import DataError
from ..core.statistics import Statistics
from ..score import Score
from .claim import claim, instance, refuses, same_ranking
from .component import check_component

__all__ = ["check_score"]


def check_score(given: type[Score] | Score, *, scale_invariant: bool = True) -> None:
    """One number a weight, the same each time and on every memory layout, from nothing but what it declares to need.

    Args:
        given: the score, or its class.
        scale_invariant: whether multiplying all weights by a constant must leave their ranking alone.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.score import Snip
        >>> check_score(Snip)
    """
    score = instance(given, Score)
    check_component(score)
    for shape in ((7, 9), (6, 5, 3, 3)):
        weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        for dtype in (torch.float32, torch.float64):
            _check_once(score, weight.to(dtype), scale_invariant)
        for half in (torch.float16, torch.bfloat16):  # weights come in float32 then, gradients as they are
            found = score(weight.to(half).float(), _all_there_is(weight, half))
            claim(bool(found.isfinite().all()), score, f"gives scores that are not finite when the model is in {half}")
    if score.needs:
        bare = Statistics(name="w")
        refuses(
            DataError, lambda: score(torch.ones(2, 2), bare), score, f"needs {set(score.needs)}, and takes none for an answer"
        )


def _all_there_is(weight: Tensor, dtype: torch.dtype, turn: Callable[[Tensor], Tensor] = lambda t: t) -> Statistics:
    """Random evidence of every kind for a weight."""
    g = torch.Generator().manual_seed(2)
    known: dict[str, Any] = {n: turn(torch.randn(weight.shape, generator=g).to(dtype)) for n in ("gradient", "hessian_gradient")}
    known |= {n: turn(torch.rand(weight.shape, generator=g).to(dtype)) for n in ("squared_gradient", "synaptic_flow")}
    inputs = torch.randn(200, weight[0].numel(), generator=g, dtype=torch.float64)
    known["learned"] = turn(torch.randn(weight.shape, generator=g).to(dtype))
    return Statistics(name="w", input_moment=(inputs.T @ inputs)[None], **known)


def _check_once(score: Score, weight: Tensor, scale_invariant: bool) -> None:
    statistics = _all_there_is(weight, weight.dtype)
    before, generator = weight.clone(), torch.random.get_rng_state()
    found = score(weight, statistics)
    claim(found.shape == weight.shape, score, f"gives scores of shape {list(found.shape)} for weights of {list(weight.shape)}")
    claim(found.is_floating_point() and bool(found.isfinite().all()), score, "gives scores that are not finite numbers")
    claim(torch.equal(weight, before), score, "changes the weights it scores")
    claim(torch.equal(found, score(weight, statistics)), score, "answers otherwise when asked again")
    claim(torch.equal(generator, torch.random.get_rng_state()), score, "draws from the global generator: seed one of your own")
    other = score(_relaid(weight), _all_there_is(weight, weight.dtype, _relaid))  # sums differ in the last bit between layouts
    claim(torch.allclose(found, other), score, "answers otherwise for the same weights laid out otherwise")
    if scale_invariant:
        claim(same_ranking(found, score(weight * 4, statistics)), score, "ranks weights otherwise when all of them quadruple")


def _relaid(tensor: Tensor) -> Tensor:
    return tensor.transpose(0, 1).contiguous().transpose(0, 1)
