"""An experiment: everything that decides a result, as a value whose name is the hash of what differs from the defaults."""

from __future__ import annotations

import dataclasses as dc
import functools
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import torch
from torch import nn

from ..core.component import build, check_bounds, coerce, param, read_form
from ..core.errors import RecipeError
from ..core.files import dump_yaml, read_mapping, to_json
from ..methods import make
from ..pipeline import Pipeline
from ..recipe import Recipe
from ..schedule import Iterative
from ..training import Task, Training
from ..training.data import load_data
from ..training.models import build_model

__all__ = ["CONTROLS", "Experiment", "Options", "freeze_options"]

VERSION = 1
CONTROLS = ("random_reinit", "random_mask", "scratch_e", "scratch_b")
_PARTS: dict[str, type] = {"training": Training, "recipe": Recipe, "pipeline": Pipeline}
Options = tuple[tuple[str, Any], ...]
"""Names and plain values, in the order of the names; a mapping is taken as well."""


@dc.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A network trained on a task, and pruned by a recipe; with a pipeline, then shared and coded as well.

    Args:
        task: data set by name or import path.
        task_options: what the data set's loader takes.
        model: network by name or import path.
        model_arguments: what its constructor takes.
        pretrained: safetensors file with the dense network's weights, instead of training it.
        training: how the dense network is trained.
        method: name of the method, for the reports; without a recipe or pipeline, the published method of that name.
        method_arguments: what that method takes.
        recipe: how it is pruned; None with no method for the dense network itself.
        pipeline: how it is pruned, shared and coded; its first stage is the recipe.
        compression: parameters / non-zero parameters to reach; None for what the recipe says.
        start: prune the trained ``dense`` network, or the ``initial`` one.
        control: not the pruned network but, with the masks it ended with, a new one trained as the dense network was:
            ``random_reinit`` drawn as the dense one is, ``random_mask`` the same with as many weights of each layer in random
            places, ``scratch_e`` drawn with the spread of the smaller network, ``scratch_b`` trained longer, for
            epochs · MACs_dense / MACs_pruned, at most twice the epochs.
        seed: of initial weights, data order, augmentation and dropout.
        sources: the user's own files that decide the result: module name → hash of its text.

    Raises:
        RecipeError: wrong type or range, an unknown method, or parts that do not go together.

    Example:
        >>> e = Experiment(task="digits", model="digits_mlp", method="global_magnitude", compression=8)
        >>> Experiment.from_dict(e.to_dict()) == e, e.recipe.allocation.name
        (True, 'global')
    """

    task: str = "digits"
    task_options: Options = ()
    model: str = "digits_mlp"
    model_arguments: Options = ()
    pretrained: str | None = None
    training: Training = Training()
    method: str | None = None
    method_arguments: Options = ()
    recipe: Recipe | None = None
    pipeline: Pipeline | None = None
    compression: float | None = param(default=None, ge=1)
    start: str = param(default="dense", among=("dense", "initial"))
    control: str | None = param(default=None, among=CONTROLS)
    seed: int = param(default=0, ge=0)
    sources: Options = ()

    def __post_init__(self) -> None:
        for name, cls in _PARTS.items():
            given = getattr(self, name)
            if not isinstance(given, cls) and not (name != "training" and given is None):
                raise RecipeError(f"experiment: {name} must be a mapping of names to values; got {given!r}")
        hints = _hints()
        for f in dc.fields(self):
            if f.name in hints:
                what, given = f"experiment: {f.name}", getattr(self, f.name)
                value = freeze_options(given, what) if hints[f.name] == Options else coerce(given, hints[f.name], what)
                check_bounds(value, f.metadata, what)
                object.__setattr__(self, f.name, value)
        if self.recipe is None and self.pipeline is None and self.method is not None:
            made = make(self.method, **dict(self.method_arguments))
            object.__setattr__(self, "pipeline" if isinstance(made, Pipeline) else "recipe", made)
        if self.recipe is None and self.pipeline is not None:
            object.__setattr__(self, "recipe", self.pipeline.prune)
        self._check_fit()

    def _check_fit(self) -> None:
        if "folder" in dict(self.task_options):
            raise RecipeError(
                "experiment: task_options has no place for 'folder'; say where data is with --data or $SECATEUR_DATA"
            )
        if self.method is None and self.method_arguments:
            raise RecipeError("experiment: method_arguments are a method's; name the method")
        if self.pipeline is not None and (self.pipeline.prune != self.recipe or self.control is not None):
            raise RecipeError(
                "experiment: with a pipeline the recipe is its first stage, and the controls are those of that recipe; "
                "leave recipe and control out"
            )
        if self.recipe is None:
            if self.compression is not None or self.start == "initial" or self.control is not None:
                raise RecipeError("experiment: compression, start and control are for pruned networks; give a method or a recipe")
        elif self.recipe.recovery.snapshot_at and not self.trains_first:
            why = "start: initial" if self.start == "initial" else "pretrained"
            raise RecipeError(
                f"experiment: recovery {self.recipe.recovery.name!r} goes back to step {self.recipe.recovery.snapshot_at} of the "
                f"first training, and with {why!r} there is none; use to=0"
            )

    @property
    def label(self) -> str:
        """What charts and tables call it: the method, and the control of it."""
        if self.recipe is None:
            return "dense"
        stages = self.pipeline
        name = self.method or (f"recipe {self.recipe.id}" if stages is None else f"pipeline {stages.id}")
        return name if self.control is None else f"{name}, {self.control}"

    @property
    def trains_first(self) -> bool:
        """Whether the pruned network's story begins with a training (which a recovery may go back to)."""
        return self.start == "dense" and self.pretrained is None

    def build_model(self) -> nn.Module:
        """A new network; its weights come from torch's global generator."""
        return build_model(self.model, **dict(self.model_arguments))

    def load_task(self, data: str | Path | None = None) -> Task:
        """The task, its data looked for in the folder ``data`` first."""
        return Task(load_data(self.task, data, **dict(self.task_options)))

    def dense(self) -> Experiment:
        """The experiment of the dense network this one starts from."""
        none: dict[str, Any] = dict.fromkeys(("recipe", "pipeline", "method", "compression")) | {"method_arguments": ()}
        modules = {path.partition(":")[0] for path in (self.task, self.model)}  # a score's file does not touch it
        return dc.replace(self, **none, start="dense", control=None, sources=tuple(s for s in self.sources if s[0] in modules))

    @property
    def goes_on(self) -> bool:
        """Whether one round more is this experiment and that round: what happens in a round must not depend on their number."""
        recipe = self.recipe
        if recipe is None or (self.pipeline, self.control, self.compression) != (None, None, None):
            return False
        schedule, score = recipe.schedule, recipe.score
        paced = isinstance(schedule, Iterative) and not schedule.even and not recipe.allocation.looks_ahead
        return paced and "learned" not in score.needs and score.regulariser(torch.ones(1, 1)) is None  # these stop at the end

    def follows(self) -> Experiment | None:
        """The experiment whose end this one goes on from: a control's own, a pipeline's recipe, one round less, or the dense one.

        Example:
            >>> third = Experiment(method="lottery_ticket", method_arguments={"rounds": 3})
            >>> third.follows().recipe.schedule.rounds, third.follows().follows().follows().recipe
            (2, None)
        """
        recipe = self.recipe
        if recipe is None:
            return None
        if self.control is not None:
            return dc.replace(self, control=None)
        if self.pipeline is not None:
            return dc.replace(self, pipeline=None, method=None, method_arguments=())
        if self.goes_on and isinstance(recipe.schedule, Iterative) and recipe.schedule.rounds > 1:
            fewer = dc.replace(recipe, schedule=dc.replace(recipe.schedule, rounds=recipe.schedule.rounds - 1))
            return dc.replace(self, recipe=fewer, method_arguments=())
        return self.dense() if self.start == "dense" else None

    def to_dict(self, *, minimal: bool = False) -> dict[str, Any]:
        """The file form: every field, or (``minimal``) only those that differ from their default."""
        fields = {f.name: getattr(self, f.name) for f in dc.fields(self)}
        fields["recipe"] = None if self.pipeline is not None else self.recipe  # the pipeline says it all
        kept = {f.name: fields[f.name] for f in dc.fields(self) if not (minimal and fields[f.name] == f.default)}
        form = {k: _plain(v, minimal) for k, v in kept.items()}
        return form if minimal else {"version": VERSION, **form}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Experiment:
        """The experiment a mapping describes.

        Raises:
            RecipeError: unknown part, name or parameter, wrong type or range, or a newer version.
        """
        form = read_form(cls, fields, version=VERSION, what="an experiment")
        for name, cls_ in (("recipe", Recipe), ("pipeline", Pipeline)):
            if isinstance(form.get(name), Mapping):
                form[name] = cls_.from_dict(form[name])
        if isinstance(form.get("training"), Mapping):
            form["training"] = build(Training, form["training"], "training")
        return cls(**form)

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """The experiment a YAML or JSON file describes."""
        return cls.from_dict(read_mapping(path))

    def to_yaml(self) -> str:
        """The explicit YAML file."""
        return dump_yaml(self.to_dict())

    @functools.cached_property
    def id(self) -> str:
        """Twelve hex digits that depend on what differs from the defaults alone, and on no label."""
        form = self.to_dict(minimal=True)
        for name, value in (("pipeline", self.pipeline), ("recipe", self.recipe)):
            if value is not None:  # it says it all
                form = {k: v for k, v in form.items() if k not in ("method", "method_arguments")}
                form[name] = {"id": value.id}
                break
        return hashlib.sha256(to_json(form).encode()).hexdigest()[:12]


@functools.cache
def _hints() -> dict[str, Any]:
    """The types of the fields that are plain values."""
    return {n: h for n, h in get_type_hints(Experiment).items() if n not in _PARTS}


def freeze_options(given: Any, what: str) -> Options:
    """Names and plain values in the order of the names, or a sentence."""
    pairs = list(given.items()) if isinstance(given, Mapping) else given
    named = isinstance(pairs, list | tuple) and all(isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in pairs)
    if not named:
        raise RecipeError(f"{what} must be a mapping of names to values; got {given!r}")
    return tuple(sorted((k, _frozen(v, f"{what}: {k}")) for k, v in dict(pairs).items()))


def _frozen(value: Any, what: str) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(v, what) for v in value)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise RecipeError(f"{what} must be a number, a text, true, false, null, or a list of those; got {value!r}")


def _plain(value: Any, minimal: bool) -> Any:
    if isinstance(value, Recipe | Pipeline | Training):
        return value.to_dict(minimal=minimal)
    return {k: _listed(v) for k, v in value} if isinstance(value, tuple) else value


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value
