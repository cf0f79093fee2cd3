"""A sweep: networks × methods × compressions × seeds, all with the same start and the same training."""

from __future__ import annotations

import dataclasses as dc
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.component import build, coerce, read_form
from ..core.errors import RecipeError, did_you_mean
from ..core.files import dump_yaml, read_mapping, to_json
from ..methods import METHODS
from ..training import Training
from .contender import Contender, read_compressions
from .experiment import CONTROLS as OF_EACH
from .experiment import Experiment
from .fair import Finetuning
from .imports import Source, import_named, import_source

__all__ = ["CONTROLS", "Network", "Sweep"]

VERSION = 1
CONTROLS = {"dense": None, "random": "random", "magnitude": "global_magnitude", "scratch": "scratch_e"}
"""What every comparison has unless it is refused: the method, or the control of the magnitude networks."""


@dc.dataclass(frozen=True, kw_only=True)
class Network:
    """A model on a task, with its training.

    Args:
        dense: the experiment that trains it, whatever its seed.
        finetune: how the survivors of pruning are trained.
    """

    dense: Experiment = Experiment()
    finetune: Finetuning = Finetuning()

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.dense.model} on {self.dense.task}"

    @classmethod
    def read(cls, given: Any) -> Network:
        """The network a file describes.

        Raises:
            RecipeError: unknown part, wrong type or range.
        """
        if isinstance(given, Network):
            return given
        if not isinstance(given, Mapping):
            raise RecipeError(f"a network is a mapping with task and model; got {given!r}")
        for name in given:
            if name not in _OF_NETWORK:
                raise RecipeError(f"a network has no part {name!r}; it has {', '.join(map(repr, _OF_NETWORK))}")
        own = given.get("finetune", {})
        tuned = own if isinstance(own, Finetuning) else build(Finetuning, _mapping(own, "finetune"), "finetune")
        parts = {k: v for k, v in given.items() if k != "finetune"}
        if isinstance(parts.get("training"), Training):
            parts["training"] = parts["training"].to_dict()
        return cls(dense=Experiment.from_dict(parts), finetune=tuned)

    def to_dict(self) -> dict[str, Any]:
        """The file form."""
        form = self.dense.to_dict()
        return {k: self.finetune.to_dict() if k == "finetune" else form[k] for k in _OF_NETWORK}


_OF_NETWORK = ("task", "task_options", "model", "model_arguments", "pretrained", "training", "finetune")


@dc.dataclass(frozen=True, kw_only=True)
class Sweep:
    """A fair comparison, as one value.

    Args:
        title: of the report.
        networks: what is pruned.
        methods: by what; names, or one name with its arguments each.
        compressions: parameters / non-zero parameters, over all tensors.
        seeds: of the dense networks: initial weights, data order, augmentation, dropout.
        controls: ``dense``, ``random``, ``magnitude`` (``global_magnitude``) and ``scratch`` (its masks on new weights); beside
            them controls of each method's networks, as an experiment names them: ``random_mask``, ``scratch_b``, …
        imports: the user's own Python files, whose scores, methods, models and data sets are known then.

    Raises:
        RecipeError: unknown name or argument, wrong type or range.

    Example:
        >>> sweep = Sweep(methods=["lamp", {"snip": {}}], seeds=[0, 1])
        >>> [c.name for c in sweep.contenders], Sweep.from_dict(sweep.to_dict()) == sweep
        (['random', 'global_magnitude', 'lamp', 'snip'], True)
    """

    title: str = "Pruning methods compared"
    networks: tuple[Network, ...] = (Network(),)
    methods: tuple[Contender, ...] = ()
    compressions: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0, 32.0)
    seeds: tuple[int, ...] = (0, 1, 2)
    controls: tuple[str, ...] = tuple(CONTROLS)
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        keep("title", coerce(self.title, str, "sweep: title"))
        for name in ("imports", "controls"):
            keep(name, tuple(dict.fromkeys(coerce(getattr(self, name), tuple[str, ...], f"sweep: {name}"))))
        for path in self.imports:
            import_source(path)  # what follows may be named by it
        keep("compressions", read_compressions(self.compressions, "sweep"))
        keep("seeds", _seeds(self.seeds))
        for control in self.controls:
            if control not in (*CONTROLS, *OF_EACH):
                raise RecipeError(f"sweep: unknown control {control!r}; {did_you_mean(control, (*CONTROLS, *OF_EACH))}")
        if "scratch" in self.controls and "magnitude" not in self.controls:
            raise RecipeError("sweep: the control 'scratch' trains the masks of 'magnitude' anew; add it, or leave 'scratch' out")
        if not isinstance(self.networks, list | tuple) or not self.networks:
            raise RecipeError(f"sweep: networks must be a list of at least one; got {self.networks!r}")
        read = [Network.read(n) for n in self.networks]
        named = [import_named(n.dense) for n in read]
        keep("networks", tuple(dc.replace(n, dense=dense) for n, (dense, _) in zip(read, named, strict=True)))
        keep("imports", tuple(dict.fromkeys([*self.imports, *(s.path for _, files in named for s in files)])))
        keep("methods", _methods(self.methods))
        if not (self.methods or self.controls):
            raise RecipeError("sweep: there is nothing to run; name methods, or leave the controls in")

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The controls that are methods, then the methods; a method that is a control is there once, as the file has it."""
        given = {c.name: c for c in self.methods}
        names = [CONTROLS[c] for c in ("random", "magnitude") if c in self.controls]
        controls = [Contender.read(n) for n in names if n is not None and n not in given]
        return (*controls, *given.values())

    @property
    def sources(self) -> tuple[Source, ...]:
        """The user's files, as they are now."""
        return tuple(import_source(p) for p in self.imports)

    def to_dict(self) -> dict[str, Any]:
        """The file form, every field."""
        fields = {f.name: getattr(self, f.name) for f in dc.fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}
        return {
            "version": VERSION,
            **plain,
            "networks": [n.to_dict() for n in self.networks],
            "methods": [c.to_dict() for c in self.methods],
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Sweep:
        """The sweep a mapping describes; parts it leaves out take their defaults.

        Raises:
            RecipeError: unknown part, name or argument, wrong type or range, or a newer version.
        """
        return cls(**read_form(cls, fields, version=VERSION, what="a sweep"))

    @classmethod
    def load(cls, path: str | Path, **more: Any) -> Sweep:
        """The sweep of a YAML or JSON file; Python files it names lie relative to it.

        Args:
            path: of the file.
            more: ``imports`` and ``methods`` beside those of the file.
        """
        form, folder = read_mapping(path), Path(path).parent
        imports = form.get("imports") or []
        if isinstance(imports, list):
            form["imports"] = [_beside(folder, p) for p in imports]
        if isinstance(form.get("networks"), list):
            form["networks"] = [
                {k: _beside(folder, v) if k in ("task", "model") else v for k, v in n.items()} if isinstance(n, dict) else n
                for n in form["networks"]
            ]
        for name, added in more.items():
            there = form.get(name) or []
            form[name] = [*([{k: v} for k, v in there.items()] if isinstance(there, Mapping) else _listed(there)), *added]
        return cls.from_dict(form)

    def to_yaml(self) -> str:
        """The explicit YAML file."""
        return dump_yaml(self.to_dict())

    @property
    def id(self) -> str:
        """Twelve hex digits of all there is in it, the user's files too."""
        form = [self.to_dict(), [[s.name, s.hash] for s in self.sources]]
        return hashlib.sha256(to_json(form).encode()).hexdigest()[:12]


def _beside(folder: Path, path: Any) -> Any:
    """A Python file, or what is in it, as a sweep's file in the folder means it."""
    file = path.split(":")[0] if isinstance(path, str) else ""
    return str(folder / path) if file.endswith(".py") and (folder / file).exists() else path


def _mapping(given: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise RecipeError(f"{what} must be a mapping of names to values; got {given!r}")
    return given


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _seeds(given: Any) -> tuple[int, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise RecipeError(f"sweep: seeds must be a list of whole numbers; got {given!r}")
    found = tuple(dict.fromkeys(coerce(s, int, "sweep: seeds") for s in given))
    if min(found) < 0:
        raise RecipeError(f"sweep: seeds must be ≥ 0; got {min(found)}")
    return found


def _methods(given: Any) -> tuple[Contender, ...]:
    """The methods of a list or a mapping; ``all`` is every published one."""
    if isinstance(given, Mapping):
        given = [{k: v} for k, v in given.items()]
    if not isinstance(given, str | list | tuple):
        raise RecipeError(f"sweep: methods must be a list of names, or a mapping of names to arguments; got {given!r}")
    found: dict[str, Contender] = {}
    everything = False
    for one in _listed(given):
        if one == "all":
            everything = True
            continue
        contender = Contender.read(one)
        if contender.name in found:
            raise RecipeError(
                f"sweep: the method {contender.name!r} is named twice; give one a name of its own: {{other: {{method: …}}}}"
            )
        found[contender.name] = contender
    if everything:
        found = {**{n: Contender.read(n) for n, m in METHODS.items() if not m.control and n not in found}, **found}
    return tuple(found.values())
