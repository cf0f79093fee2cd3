"""What a structure may know of a coupled group, read off the group and the modules that own its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import nn

from ..core.coupling import Coupling
from ..core.layers import is_kernel

if TYPE_CHECKING:
    from ..graph.groups import Group, Groups, Member

__all__ = ["couplings", "is_scale"]

_ATTENTION = ("scaled_dot_product_attention", "softmax", "bmm", "matmul", "einsum")
_MAKES, _READS = ("producer", "both"), ("consumer", "both")


def couplings(model: nn.Module, groups: Groups) -> dict[str, Coupling]:
    """The facts of every group by its name."""
    parameters = {n for n, _ in model.named_parameters()}
    makers = {g.name: [m for m in g.members if m.role in _MAKES and m.parameter in parameters] for g in groups}
    kinds = {g.name: frozenset(_kind(model, m.parameter, g) for m in makers[g.name]) for g in groups}
    heads = {g.name for g in groups if _are_heads(g, makers[g.name], kinds[g.name])}
    return {
        g.name: Coupling(
            name=g.name,
            units=g.units,
            kinds=kinds[g.name],
            heads=g.name in heads,
            inside="" if g.name in heads else next((c for c in g.crosses if c in heads or _holds(groups[c], g, kinds)), ""),
            statistics=g.statistics,
        )
        for g in groups
    }


def _kind(model: nn.Module, parameter: str, group: Group) -> str:
    """What a producer is: a convolution, a table, or something linear (which any other weight that is multiplied is)."""
    module = model.get_submodule(parameter.rpartition(".")[0])
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "table"
    if isinstance(module, nn.Linear):
        return "linear"
    convolved = model.get_parameter(parameter).ndim > 2 and any("conv" in op for op, _ in group.joined)
    return "kernel" if is_kernel(module) or convolved else "linear"


def _are_heads(group: Group, makers: list[Member], kinds: frozenset[str]) -> bool:
    """Whether every unit is a block of neighbours where it is made, and one block where it is read.

    Channels have that form too when convolutions shuffle them, so theirs must also have met in attention.
    """
    readers = [m for m in group.members if m.role in _READS]
    blocks = any(m.run > 1 for m in makers) and bool(readers) and all(m.each == m.run > 1 for m in readers)
    return blocks and ("kernel" not in kinds or any(name in op for op, _ in group.joined for name in _ATTENTION))


def _holds(blocks: Group, group: Group, kinds: Mapping[str, frozenset[str]]) -> bool:
    """Whether the units of a group are places in the blocks of another, which stay for a reason of their own."""
    if "kernel" in kinds[group.name] or any(m.each == 1 for m in group.members if m.role in _READS):
        return False  # channels; or read one by one, so that the blocks are parts of a gate, say
    own = {(m.parameter, m.dim): m.run for m in group.members if m.role in _MAKES}
    return blocks.units > 1 and any(m.each == m.run > own.get((m.parameter, m.dim), m.run) for m in blocks.members)


def is_scale(modules: Mapping[str, nn.Module], parameter: str) -> bool:
    """Whether a parameter is the scale of a norm."""
    owner, _, leaf = parameter.rpartition(".")
    return leaf == "weight" and "Norm" in type(modules[owner]).__name__
