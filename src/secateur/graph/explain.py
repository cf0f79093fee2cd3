"""Why something can or cannot be pruned."""

from __future__ import annotations

import dataclasses as dc

from rich.console import Group as Lines
from rich.text import Text
from torch import nn

from ..core.errors import ModelError, did_you_mean
from .groups import Group, Groups, find_groups
from .show import blocks
from .trace import ExampleInputs

__all__ = ["Explanation", "explain", "explanation"]


@dc.dataclass(frozen=True)
class Explanation:
    """What was asked about, and what is known; prints as text.

    Args:
        target: the module or parameter.
        prunable: whether any of its dimensions can be pruned.
        lines: the text.
    """

    target: str
    prunable: bool
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    __repr__ = __str__

    def __rich__(self) -> Lines:
        return Lines(*(Text(line, style="bold" if not line.startswith(" ") else "") for line in self.lines))


def explain(model: nn.Module, example_inputs: ExampleInputs, target: str) -> Explanation:
    """What the dimensions of a layer are tied to, whether they can be pruned and, if not, why.

    Args:
        model: any module.
        example_inputs: one tensor, a tuple of positional arguments, or a mapping of keyword arguments.
        target: a parameter (``"layer3.0.conv2.weight"``) or a module (``"layer3.0.conv2"``).

    Raises:
        ModelError: the model has no such module or parameter, or cannot be traced.

    Example:
        >>> import torch
        >>> mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> print(explain(mlp, torch.zeros(1, 4), "2.weight"))
        2.weight, dimension 0 of size 2: stays, because an output of the model
          tied to: 2.bias[0]
          by: aten.linear (module 2)
        2.weight, dimension 1 of size 8: 8 units can be pruned
          tied to: 0.weight[0], 0.bias[0]
          by: aten.linear (module 0), aten.linear (module 2)
    """
    return explanation(find_groups(model, example_inputs), target)


def explanation(groups: Groups, target: str) -> Explanation:
    """The same for groups that are known."""
    names = [n for n in [*groups.shapes, *groups.tied] if n == target or n.startswith(target + ".")]
    if not names:
        known = {*groups.shapes, *groups.tied, *(n.rpartition(".")[0] for n in groups.shapes)}
        raise ModelError(f"no parameter or module is called {target!r}; {did_you_mean(target, known - {''})}")
    lines: list[str] = []
    prunable = False
    for name in names:
        real = groups.tied.get(name, name)
        if real != name:
            lines.append(f"{name} is the same tensor as {real}")
        for dim, size in enumerate(groups.shapes[real]):
            for group in groups.of(real, dim):
                lines += _about(group, real, dim, size)
                prunable |= group.prunable
    return Explanation(target, prunable, tuple(lines or [f"{target} has no dimension to prune"]))


def _about(group: Group, name: str, dim: int, size: int) -> list[str]:
    own = next(m for m in group.members if m.parameter == name and m.dim == dim)
    verdict = f"stays, because {group.reason}" if group.reason else f"{group.units} units can be pruned"
    each = f", each{blocks(own)} indices" if own.each > 1 else ""
    lines = [f"{name}, dimension {dim} of size {size}: {verdict}{each}"]
    others = [f"{m.parameter}[{m.dim}]{blocks(m)}" for m in group.members if m is not own]
    if others:
        more = f" and {len(others) - 12} more" if len(others) > 12 else ""
        lines.append(f"  tied to: {', '.join(others[:12])}{more}")
    if group.joined:
        by = [f"{op} ({where})" if where else op for op, where in group.joined]
        lines.append(f"  by: {', '.join(by[:6])}{f' and {len(by) - 6} more' if len(by) > 6 else ''}")
    if group.crosses:
        lines.append(f"  shares indices with: {', '.join(group.crosses)}")
    if group.statistics and not group.reason:
        lines.append(f"  averaged over by: {', '.join(group.statistics[:4])}")
    if group.leaks and not group.reason:
        lines.append(f"  not zero without its producers in: {', '.join(group.leaks[:4])}")
    return lines
