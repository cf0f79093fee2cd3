"""How many bits of one arithmetic code say where entries are, and how many what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log2
from typing import Any

from .coded import Parts

__all__ = ["Meter"]


class Meter:
    """Watches a decoder: called with it, gives one that counts."""

    def __init__(self) -> None:
        self.bits = {"position": 0.0, "value": 0.0}
        self._coder: Any = None

    def __call__(self, coder: Any) -> Meter:
        """The decoder to be used instead."""
        self._coder = coder
        return self

    def code(self, p: Sequence[int], bits: Sequence[int], what: str = "value") -> Sequence[int]:
        """Code, and add up −log₂ of the probabilities of what was found."""
        found: Sequence[int] = self._coder.code(p, bits, what)
        self.bits[what] -= sum(log2((q if bit else 65536 - q) / 65536) for q, bit in zip(p, found, strict=True))
        return found

    def apart(self, parts: Parts) -> Parts:
        """The parts of a payload, with positions told from values."""
        if self._coder is None:
            return parts
        positions = self.bits["position"] / 8
        return replace(parts, positions=positions, values=parts.values - positions)
