"""How a check speaks."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["claim", "instance", "refuses", "same_ranking"]

C = TypeVar("C")


def claim(holds: object, subject: object, sentence: str) -> None:
    """Raise ``AssertionError`` with the subject and a sentence unless the claim holds."""
    if not bool(holds):
        raise AssertionError(f"{subject!r} {sentence}")


def refuses(error: type[Exception], call: Any, subject: object, sentence: str) -> None:
    """Raise ``AssertionError`` unless the call raises this error."""
    try:
        call()
    except error:
        return
    claim(False, subject, sentence)


def instance(given: type[C] | C, base: type) -> C:
    """The component itself, built from its defaults when the class is given."""
    made: Any = given() if inspect.isclass(given) else given
    claim(isinstance(made, base), made, f"is no {base.__name__}: derive the class from it")
    return made  # type: ignore[no-any-return]


def same_ranking(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of scores put their entries in the same order, ties by index."""
    return torch.equal(one.flatten().sort(stable=True).indices, other.flatten().sort(stable=True).indices)
