"""The pipeline: what follows a recipe on the way to a small file."""

from __future__ import annotations

import dataclasses as dc
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from .codec.compress import CODERS
from .codec.quantise import Share
from .core.component import build, check_bounds, coerce, param, read_form
from .core.errors import RecipeError
from .core.files import dump_yaml, parse_yaml, read_mapping, to_json
from .recipe import Recipe

__all__ = ["Code", "Pipeline"]

VERSION = 1


@dc.dataclass(frozen=True, kw_only=True)
class Code:
    """How the tensors lie in the file, without loss.

    Args:
        coder: of numbers in codebooks and of positions, as ``secateur.compress`` takes it: ``range`` for the fewest bytes,
            ``rans``, ``huffman`` as in Deep Compression, or ``none``.
        index_bits: bits of the gap from one weight to the next before coding, a longer one is cut by filler zeros; None for
            the layout that is smallest, tensor by tensor.

    Raises:
        RecipeError: a parameter of wrong type or out of range.

    Example:
        >>> Code(coder="huffman", index_bits=5).to_dict(minimal=True)
        {'coder': 'huffman', 'index_bits': 5}
    """

    coder: str = param(default="range", among=CODERS)
    index_bits: int | None = param(default=None, ge=1, le=8)

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in dc.fields(self):
            value = coerce(getattr(self, f.name), hints[f.name], f"code: {f.name}")
            check_bounds(value, f.metadata, f"code: {f.name}")
            object.__setattr__(self, f.name, value)

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field, or (``minimal``) only those that differ from their default."""
        return {f.name: v for f in dc.fields(self) if (v := getattr(self, f.name)) != f.default or not minimal}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Code:
        """The coding a mapping describes; what it leaves out takes its default."""
        made: Code = build(cls, fields, "code")
        return made


_STAGES: dict[str, Any] = {"prune": Recipe, "share": Share, "code": Code}


@dc.dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Three stages, each on what the one before left: prune by a recipe, share the weights that are left, code the file.

    Args:
        prune: the recipe.
        share: weight sharing, and the tuning of the shared values.
        code: the file.

    Raises:
        RecipeError: a stage is none.

    Example:
        >>> from secateur.schedule import OneShot
        >>> small = Pipeline(prune=Recipe(schedule=OneShot(sparsity=0.9)), share=Share(linear=4))
        >>> Pipeline.from_yaml(small.to_yaml()) == small, small.to_dict(minimal=True)["share"]
        (True, {'linear': 4})
    """

    prune: Recipe = Recipe()
    share: Share = Share()
    code: Code = Code()

    def __post_init__(self) -> None:
        for stage, kind in _STAGES.items():
            given = getattr(self, stage)
            if not isinstance(given, kind):
                raise RecipeError(f"pipeline: {stage} must be a {kind.__name__}; got {given!r}; e.g. {stage}={kind.__name__}()")

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field of every stage, or (``minimal``) only what differs from the defaults."""
        found = {stage: getattr(self, stage).to_dict(minimal=minimal) for stage in _STAGES}
        return {k: v for k, v in found.items() if v} if minimal else {"version": VERSION, **found}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Pipeline:
        """The pipeline a mapping describes; stages it leaves out take their defaults.

        Raises:
            RecipeError: unknown stage, name or parameter, wrong type or range, or a newer version.
        """
        form = read_form(cls, fields, version=VERSION, what="a pipeline")
        for stage, given in form.items():
            if not isinstance(given, Mapping):
                raise RecipeError(f"pipeline: {stage} must be a mapping of names to values; got {given!r}")
        return cls(**{stage: _STAGES[stage].from_dict(given) for stage, given in form.items()})

    def to_yaml(self) -> str:
        """The explicit YAML file."""
        return dump_yaml(self.to_dict())

    def to_json(self) -> str:
        """The explicit JSON file."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @classmethod
    def from_yaml(cls, text: str) -> Pipeline:
        """The pipeline a YAML or JSON text describes."""
        return cls.from_dict(parse_yaml(text, "the pipeline"))

    @classmethod
    def load(cls, path: str | Path) -> Pipeline:
        """The pipeline a YAML or JSON file describes."""
        return cls.from_dict(read_mapping(path))

    @property
    def id(self) -> str:
        """Twelve hex digits that depend on what differs from the defaults alone."""
        return hashlib.sha256(to_json(self.to_dict(minimal=True)).encode()).hexdigest()[:12]
