"""The recipe: a pruning method as one sentence of five words."""

from __future__ import annotations

import dataclasses as dc
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .allocation import Allocation, Global
from .core.component import AXES, Component, choices, choose, coerce, read_form
from .core.errors import RecipeError
from .core.files import dump_yaml, parse_yaml, read_mapping, to_json
from .recovery import KeepTraining, Recovery
from .schedule import OneShot, Schedule
from .score import Magnitude, Score
from .structure import Structure, Weights

__all__ = ["Recipe"]

VERSION = 1
_BASES: dict[str, type[Component]] = {
    "structure": Structure, "score": Score, "allocation": Allocation, "schedule": Schedule, "recovery": Recovery,
}  # fmt: skip


@dc.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One choice on each of five axes, and nothing else: what, how important, from where, when, and what then.

    Args:
        structure: what is removed.
        score: how much it matters.
        allocation: how much goes from which layer.
        schedule: when.
        recovery: what the survivors do.
        include: name patterns of parameters to prune that would stay dense (embeddings, raw parameters).
        exclude: name patterns of parameters to leave dense.
        prune_classifier: also prune the layer that gives the output, which stays dense by default.

    Raises:
        RecipeError: two choices do not go together; the sentence names what does.

    Example:
        >>> from secateur.schedule import Cubic
        >>> from secateur.allocation import Uniform
        >>> gradual = Recipe(allocation=Uniform(), schedule=Cubic(sparsity=0.9, begin=0, end=1000, every=100))
        >>> Recipe.from_yaml(gradual.to_yaml()) == gradual
        True
    """

    structure: Structure = Weights()
    score: Score = Magnitude()
    allocation: Allocation = Global()
    schedule: Schedule = OneShot()
    recovery: Recovery = KeepTraining()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prune_classifier: bool = False

    def __post_init__(self) -> None:
        for axis, base in _BASES.items():
            given = getattr(self, axis)
            if not isinstance(given, base):
                known = ", ".join(c.__name__ for c in choices(axis).values())
                raise RecipeError(f"{axis} must be one of {known}; got {given!r}; e.g. {axis}={type(DEFAULTS[axis]).__name__}()")
        for name, hint in (("include", tuple[str, ...]), ("exclude", tuple[str, ...]), ("prune_classifier", bool)):
            object.__setattr__(self, name, coerce(getattr(self, name), hint, f"recipe: {name}"))
        self._check_fit()
        self._check_reach()

    def _check_fit(self) -> None:
        for a in AXES:
            for b in AXES:
                one, other = getattr(self, a), getattr(self, b)
                reason = one.conflict(other) if a != b else None
                if reason is None:
                    continue
                made = {n: c() for n, c in choices(b).items() if _has_defaults(c)}
                fits = [n for n, c in made.items() if one.conflict(c) is None and c.conflict(one) is None]
                raise RecipeError(
                    f"{a} {one.name!r} does not go with {b} {other.name!r}: {reason}; {b} that fits: {', '.join(fits) or 'none'}"
                )

    def _check_reach(self) -> None:
        most = self.structure.max_sparsity
        if self.schedule.final > most + 1e-12 and not self.allocation.fixed:
            raise RecipeError(
                f"structure {self.structure.name!r} can remove at most {most:g} of a layer; the schedule ends at "
                f"{self.schedule.final:g}; use sparsity={most:g}"
            )

    def at(self, sparsity: float) -> Recipe:
        """The same sentence, ending at another sparsity.

        Args:
            sparsity: fraction of the prunable weights removed at the end.

        Raises:
            RecipeError: the allocation sets each layer's sparsity itself.
        """
        if self.allocation.fixed:
            raise RecipeError(
                f"allocation {self.allocation.name!r} sets each layer's sparsity itself; "
                "a target for the whole model cannot move it"
            )
        return dc.replace(self, schedule=self.schedule.at(sparsity))

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field, or (``minimal``) only what differs from the defaults."""
        if not minimal:
            fields = {f.name: getattr(self, f.name) for f in dc.fields(self)}
            return {"version": VERSION, **{k: _plain(v) for k, v in fields.items()}}
        named = {f.name: getattr(self, f.name) for f in dc.fields(self) if getattr(self, f.name) != f.default}
        return {k: v.to_dict(minimal=True) if isinstance(v, Component) else _plain(v) for k, v in named.items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """The recipe a mapping describes; axes it leaves out take their defaults.

        Raises:
            RecipeError: unknown axis, name or parameter, wrong type or range, or a newer version.
        """
        form = read_form(cls, fields, version=VERSION, what="a recipe")
        parts: dict[str, Any] = {k: choose(k, v) if k in AXES else v for k, v in form.items()}
        return cls(**parts)

    def to_yaml(self) -> str:
        """The explicit YAML file."""
        return dump_yaml(self.to_dict())

    def to_json(self) -> str:
        """The explicit JSON file."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)  # YAML does not read escaped surrogates

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """The recipe a YAML or JSON text describes."""
        return cls.from_dict(parse_yaml(text, "the recipe"))

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """The recipe a YAML or JSON file describes."""
        return cls.from_dict(read_mapping(path))

    @property
    def id(self) -> str:
        """Twelve hex digits that depend on what differs from the defaults alone."""
        return hashlib.sha256(to_json(self.to_dict(minimal=True)).encode()).hexdigest()[:12]


DEFAULTS = {f.name: f.default for f in dc.fields(Recipe)}


def _plain(value: Any) -> Any:
    if isinstance(value, Component):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def _has_defaults(cls: type[Component]) -> bool:
    return all(f.default is not dc.MISSING for f in dc.fields(cls))  # type: ignore[arg-type]
