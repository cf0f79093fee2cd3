"""The user's own files: imported by path, in every process, and part of the name of what they decide."""

from __future__ import annotations

import dataclasses as dc
import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..core.component import AXES
from ..core.errors import RecipeError, RunError
from ..core.resolve import import_file
from .experiment import Experiment

__all__ = ["Source", "check_sources", "import_named", "import_source", "is_loaded", "with_sources"]

_LOADED: dict[str, str] = {}
"""Module name → hash of the text it was imported from, in this process."""


@dc.dataclass(frozen=True)
class Source:
    """A user's file.

    Args:
        path: where it lies.
        text: what is in it.
    """

    path: str
    text: str = dc.field(repr=False)

    @property
    def name(self) -> str:
        """The module's."""
        return Path(self.path).stem

    @property
    def hash(self) -> str:
        """Twelve hex digits of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def load(self) -> None:
        """Import it here, if it still has this text.

        Raises:
            RecipeError: it cannot be imported.
            RunError: it has changed.
        """
        if import_source(self.path).hash != self.hash:
            raise RunError(f"{self.path!r} was changed while the sweep ran; start the sweep again")


def import_source(path: str | Path) -> Source:
    """Import a user's file: its scores, methods, models and data sets are known afterwards.

    Args:
        path: of the file; models and data sets in it are named ``module:name``, as those of any module.

    Raises:
        RecipeError: there is no such file, it is not text, or it raises when it is imported.
    """
    try:
        source = Source(str(path), Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise RecipeError(f"there is no file {str(path)!r}; give the path of a Python file") from e
    except (OSError, UnicodeDecodeError) as e:
        raise RecipeError(f"{str(path)!r} cannot be read as text: {e}") from e
    import_file(path, RecipeError)
    _LOADED.setdefault(source.name, source.hash)
    return source


def is_loaded(source: Source) -> bool:
    """Whether this process has imported the file, with this text."""
    return _LOADED.get(source.name) == source.hash


def with_sources(experiment: Experiment, sources: Iterable[Source]) -> Experiment:
    """The experiment, with the hashes of those files that decide its result: of its network, its data, or a choice it makes.

    Args:
        experiment: whatever it is.
        sources: the files there are.
    """
    used = {path.partition(":")[0] for path in (experiment.task, experiment.model)}
    if experiment.recipe is not None:
        used |= {type(getattr(experiment.recipe, axis)).__module__ for axis in AXES}
    return dc.replace(experiment, sources=tuple((s.name, s.hash) for s in sources if s.name in used))


def import_named(experiment: Experiment) -> tuple[Experiment, list[Source]]:
    """The experiment with ``module:name`` in the place of ``folder/module.py:name``, and the files that are imported.

    Args:
        experiment: whose data set or model may be of a file.

    Raises:
        RecipeError: a file cannot be imported.
    """
    renamed, sources = {}, []
    for part in ("task", "model"):
        path, _, name = getattr(experiment, part).rpartition(":")
        if path.endswith(".py"):
            sources.append(import_source(path))
            renamed[part] = f"{sources[-1].name}:{name}"
    return dc.replace(experiment, **renamed), sources  # type: ignore[arg-type]


def check_sources(experiment: Experiment) -> None:
    """Refuse to run an experiment with other files than it was made with.

    Raises:
        RunError: a file was not imported here, or had another text.
    """
    for name, wanted in experiment.sources:
        known = _LOADED.get(name)
        if known != wanted:
            what = "is not imported here" if known is None else f"has another text here ({known}) than the run's ({wanted})"
            raise RunError(f"the run {experiment.id} needs the file {name}.py, which {what}; name it with --import")
