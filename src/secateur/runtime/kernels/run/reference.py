"""What the loop over a program's steps must give, by torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ...graph import Op

__all__ = ["run"]


def run(ops: Iterable[Op], values: dict[str, Tensor], do: Callable[..., Tensor]) -> dict[str, Tensor]:
    """Operations in order, each on what those before it gave.

    Args:
        ops: what to do.
        values: of the inputs, by name.
        do: one operation on its inputs.

    Returns:
        The inputs and every operation's value, by name.

    Example:
        >>> import torch
        >>> from secateur.runtime.graph import Op
        >>> twice = [Op("double", "b", ("a",), None), Op("double", "c", ("b",), None)]
        >>> run(twice, {"a": torch.tensor(3.0)}, lambda op, x: 2 * x)["c"]
        tensor(12.)
    """
    found = dict(values)
    for op in ops:
        found[op.name] = do(op, *(found[n] for n in op.inputs))
    return found
