"""What holds of every recovery."""

from __future__ import annotations

import torch
from torch import Tensor

from ..pruner import Pruner
from ..recipe import Recipe
from ..recovery import Recovery
from ..schedule import Iterative, Polynomial
from .claim import claim, instance
from .component import check_component
from .model import small_batches, small_model

__all__ = ["check_recovery"]


def check_recovery(given: type[Recovery] | Recovery) -> None:
    """It changes values and nothing else, the same way each time; pruned weights stay zero and the snapshot stays whole.

    Args:
        given: the recovery, or its class.

    Raises:
        AssertionError: a sentence that says what does not hold.

    Example:
        >>> from secateur.recovery import Rewind
        >>> check_recovery(Rewind(to=2))
    """
    recovery = instance(given, Recovery)
    check_component(recovery)
    claim(recovery.snapshot_at is None or recovery.snapshot_at >= 0, recovery, f"wants a copy at step {recovery.snapshot_at}")
    claim(recovery.resume_at >= 0, recovery, f"resumes at step {recovery.resume_at}")
    if recovery.restarts:
        claim(recovery.conflict(Polynomial()), recovery, "restarts training, and goes with a schedule that prunes while training")
    _check_restore(recovery)
    _check_rounds(recovery)


def _check_restore(recovery: Recovery) -> None:
    snapshot = {n: v.clone() for n, v in small_model(seed=1).state_dict().items()}
    whole, generator, found = _copy(snapshot), torch.random.get_rng_state(), []
    for _ in range(2):
        model = small_model(seed=2)
        recovery.check(model)
        kinds = {n: (v.shape, v.dtype) for n, v in model.state_dict().items()}
        recovery.restore(model, snapshot)
        state = model.state_dict()
        claim({n: (v.shape, v.dtype) for n, v in state.items()} == kinds, recovery, "changes names, shapes or dtypes")
        claim(all(bool(v.isfinite().all()) for v in state.values()), recovery, "restores values that are not finite")
        found.append(_copy(state))
    claim(_equal(*found), recovery, "restores other values when asked again: seed its draw")
    claim(_equal(snapshot, whole), recovery, "changes the snapshot it restores from")
    claim(torch.equal(generator, torch.random.get_rng_state()), recovery, "draws from the global generator")


def _check_rounds(recovery: Recovery) -> None:
    model = small_model(seed=3)
    pruner = Pruner(model, Recipe(schedule=Iterative(rounds=2, rate=0.3), recovery=recovery), data=small_batches())
    for _ in pruner.rounds():
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.01)
        for _ in range((recovery.snapshot_at or 0) + 1):
            pruner.step()
        zeros = all(not bool(model.get_parameter(n)[~m].any()) for n, m in pruner.masks.items())
        claim(zeros, recovery, "leaves pruned weights that are not zero")
    claim(pruner.round == 2, recovery, f"ends after round {pruner.round} of 2")


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n: v.clone() for n, v in state.items()}


def _equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())
