"""What a structure may ask about a group of coupled units, and no more."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Coupling"]


@dataclass(frozen=True)
class Coupling:
    """A group of units that can only be removed over all layers they reach.

    Args:
        name: the group's name.
        units: how many.
        kinds: what makes the units: ``"kernel"`` (a convolution), ``"linear"``, ``"table"`` (an embedding).
        heads: whether a unit is a block of neighbouring outputs that is read as a block: an attention head, or a key and
            value head with all its queries.
        inside: name of the group of heads whose insides these are; empty for none.
        statistics: norms that average over the units.
    """

    name: str
    units: int
    kinds: frozenset[str]
    heads: bool = False
    inside: str = ""
    statistics: tuple[str, ...] = ()
