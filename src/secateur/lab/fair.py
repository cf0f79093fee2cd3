"""The same training for every method: what its arguments are where the sweep's file does not say them."""

from __future__ import annotations

import dataclasses as dc
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..core.component import check_bounds, coerce, param
from ..training import Training

__all__ = ["Finetuning", "fair_arguments"]

_EVENTS = 20  # of a ramp


@dc.dataclass(frozen=True, kw_only=True)
class Finetuning:
    """The training that every method's survivors get, whatever the method was published with.

    Args:
        epochs: in all; a method of several rounds has as many fewer in each.
        learning_rate: peak rate; None for a tenth of the first training's.

    Raises:
        RecipeError: a value out of range.

    Example:
        >>> Finetuning(epochs=3).to_dict(minimal=True)
        {'epochs': 3.0}
    """

    epochs: float = param(default=5.0, ge=0)
    learning_rate: float | None = param(default=None, gt=0)

    def __post_init__(self) -> None:
        for f, hint in zip(dc.fields(self), (float, float | None), strict=True):
            value = coerce(getattr(self, f.name), hint, f"finetune: {f.name}")
            check_bounds(value, f.metadata, f"finetune: {f.name}")
            object.__setattr__(self, f.name, value)

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """Every field, or (``minimal``) those that differ from their default."""
        return {f.name: v for f in dc.fields(self) if (v := getattr(self, f.name)) != f.default or not minimal}


def fair_arguments(
    build: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    start: str,
    training: Training,
    finetune: Finetuning,
    examples: int,
    seed: int,
    reach: bool = True,
) -> dict[str, Any]:
    """A method's arguments: what is given, and for the rest the common training, with ramps that fit into it.

    Epochs and rate of fine-tuning are the common ones, over all rounds together. A ramp has twenty events in the first half
    of its training, an exchange of weights goes on for three quarters of it, and so does the learning of masks; weights go
    back to no later step than a twentieth of it. The seed of what is drawn is the network's.

    Args:
        build: the method.
        given: the arguments that the file says.
        start: the trained ``dense`` network or the ``initial`` one.
        training: of the dense network.
        finetune: of the survivors.
        examples: in the training split.
        seed: of the dense network.
        reach: whether there is a compression to reach: a method that would find its own gets a sparsity, which that moves.

    Example:
        >>> from secateur.methods import METHODS
        >>> common = {"training": Training(), "finetune": Finetuning(epochs=2), "examples": 1280, "seed": 7}
        >>> fair_arguments(METHODS["random"].build, {"sparsity": 0.5}, start="dense", **common)
        {'sparsity': 0.5, 'epochs': 2.0, 'learning_rate': 0.005, 'seed': 7}
        >>> fair_arguments(METHODS["zhu_gupta_2018"].build, {}, start="dense", **common)
        {'epochs': 2.0, 'learning_rate': 0.005, 'begin': 0, 'every': 1, 'end': 20}
        >>> fair_arguments(METHODS["lamp"].build, {"rounds": 4}, start="dense", **common)["epochs"]
        0.5
    """
    accepted = {n: p.default for n, p in inspect.signature(build).parameters.items()}
    made = dict(given)

    def fill(**values: Any) -> None:
        made.update({n: v for n, v in values.items() if n in accepted and n not in given})

    tuned = start == "dense" and "epochs" in accepted
    if tuned:
        rounds = int(made.get("rounds", accepted.get("rounds", 1)))
        fill(epochs=finetune.epochs / rounds, learning_rate=finetune.learning_rate or training.learning_rate / 10)
    steps = dc.replace(training, epochs=made["epochs"] if tuned else training.epochs).steps(examples)
    fill(seed=seed, examples=examples, **_paces(set(accepted), steps))
    if accepted.get("to"):
        fill(to=min(accepted["to"], max(1, steps // 20)))
    if reach and accepted.get("sparsity", 0) is None and "layers" not in given:
        fill(sparsity=0.5)
    return made


def _paces(accepted: set[str], steps: int) -> dict[str, int]:
    """Where in a training of so many steps a method's own steps are."""
    if {"begin", "end", "every"} <= accepted:
        every = max(1, steps // (2 * _EVENTS))
        return {"begin": 0, "every": every, "end": every * _EVENTS}
    if {"end", "every"} <= accepted:
        return {"every": max(1, steps // (2 * _EVENTS)), "end": max(1, steps * 3 // 4)}
    return {"begin": steps // 40, "ramp": max(1, steps // 10), "steps": max(1, steps * 3 // 4)}
