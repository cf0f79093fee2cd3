"""Who takes part in a comparison: a published method, or a score of the user's own in the plain method's place."""

from __future__ import annotations

import dataclasses as dc
from collections.abc import Callable, Mapping
from typing import Any

from ..allocation import Global
from ..core.component import choices, choose, coerce
from ..core.errors import RecipeError, did_you_mean
from ..methods import METHODS, make
from ..pipeline import Pipeline
from ..recipe import Recipe
from ..recovery import Finetune
from ..schedule import OneShot
from .experiment import Options, freeze_options

__all__ = ["Contender"]

_OWN = ("method", "prunes", "compressions")


@dc.dataclass(frozen=True, kw_only=True)
class Contender:
    """A method with its arguments, under a name.

    Args:
        name: in tables and charts.
        method: a name in ``METHODS``; or the name of a score, which then takes magnitude's place in ``global_magnitude``.
        arguments: its own; what is left out is the same for all methods.
        prunes: the trained ``dense`` network or the ``initial`` one; None for what the method says.
        compressions: its own, instead of the sweep's; ``own`` for the one its arguments lead to.

    Raises:
        RecipeError: an unknown method or argument, wrong type or range.

    Example:
        >>> Contender.read("lamp"), Contender.read({"slow": {"method": "lamp", "rounds": 10}}).arguments
        (Contender(name='lamp', method='lamp', arguments=(), prunes='dense', compressions=None), (('rounds', 10),))
    """

    name: str
    method: str
    arguments: Options = ()
    prunes: str | None = None
    compressions: tuple[float | None, ...] | str | None = None

    def __post_init__(self) -> None:
        what = f"method {self.name!r}"
        if self.method not in METHODS and self.method not in choices("score"):
            raise RecipeError(f"unknown method {self.method!r}; {did_you_mean(self.method, [*METHODS, *choices('score')])}")
        if self.prunes is None:
            object.__setattr__(self, "prunes", METHODS[self.method].start if self.method in METHODS else "dense")
        if self.prunes not in ("dense", "initial"):
            raise RecipeError(f"{what}: prunes must be one of dense, initial; got {self.prunes!r}")
        object.__setattr__(self, "arguments", freeze_options(self.arguments, f"{what}: arguments"))
        if self.compressions not in (None, "own"):
            object.__setattr__(self, "compressions", read_compressions(self.compressions, what, or_own=True))
        self.make({})  # an argument that it does not have, or a wrong one, is refused here

    @classmethod
    def read(cls, given: Any, name: str | None = None) -> Contender:
        """The contender a file describes: a name, or one name with its arguments.

        Raises:
            RecipeError: it is neither, or not valid.
        """
        if isinstance(given, Contender):
            return given
        if isinstance(given, str) and name is None:
            return cls(name=given, method=given)
        if name is None and isinstance(given, Mapping) and len(given) == 1:
            ((name, given),) = given.items()
        if name is None or not isinstance(given or {}, Mapping):
            raise RecipeError(f"a method is its name, or a mapping of its name to its arguments; got {given!r}")
        own = {k: v for k, v in (given or {}).items() if k in _OWN}
        arguments = {k: v for k, v in (given or {}).items() if k not in _OWN}
        return cls(name=name, arguments=arguments, **{"method": name, **own})  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """The file form."""
        own: dict[str, Any] = {"method": self.method, "prunes": self.prunes}
        if self.compressions is not None:
            own["compressions"] = self.compressions if isinstance(self.compressions, str) else list(self.compressions)
        return {self.name: {**own, **dict(self.arguments)}}

    def at(self, common: tuple[float, ...]) -> tuple[float | None, ...]:
        """The compressions it is run at; None for the one it has by itself.

        Args:
            common: those of the sweep.
        """
        if isinstance(self.compressions, str):
            return (None,)
        return common if self.compressions is None else self.compressions

    @property
    def build(self) -> Callable[..., Recipe | Pipeline]:
        """What makes the recipe."""
        return METHODS[self.method].build if self.method in METHODS else _by_score(self.method)

    def make(self, more: Mapping[str, Any]) -> Recipe | Pipeline:
        """The recipe or pipeline, with its own arguments and more.

        Raises:
            RecipeError: an argument it does not have, wrong type or range.
        """
        arguments = {**more, **dict(self.arguments)}
        return make(self.method, **arguments) if self.method in METHODS else self.build(**arguments)


def _by_score(name: str) -> Callable[..., Recipe]:
    """``global_magnitude`` with another score; what it has no argument for is the score's."""

    def build(*, sparsity: float = 0.9, epochs: float = 10.0, learning_rate: float | None = None, **own: Any) -> Recipe:
        return Recipe(
            score=choose("score", {"name": name, **own}),  # type: ignore[arg-type]
            allocation=Global(),
            schedule=OneShot(sparsity=sparsity),
            recovery=Finetune(epochs=epochs, learning_rate=learning_rate),
        )

    return build


def read_compressions(given: Any, what: str, *, or_own: bool = False) -> tuple[float, ...]:
    """Ratios above 1, each once, or a sentence."""
    if not isinstance(given, list | tuple) or not given:
        own = " or 'own'" if or_own else ""
        raise RecipeError(f"{what}: compressions must be a list of ratios > 1{own}; got {given!r}")
    found: list[float] = [coerce(c, float, f"{what}: compressions") for c in given]
    for c in found:
        if not c > 1:
            raise RecipeError(f"{what}: a compression is parameters / non-zero parameters, > 1; got {c:g}")
    return tuple(dict.fromkeys(found))
