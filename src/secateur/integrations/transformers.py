"""Shrunken Hugging Face models: saved so that their own ``from_pretrained`` loads them wherever a configuration can say it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..codec import load, save
from ..codec.read import stored_types
from ..core.errors import FormatError, ModelError, RunError, require
from ..graph.plan import forget_
from ..graph.trace import ExampleInputs, unwrap
from .depth import close_up_
from .fit import Field, Misfit, dense_config, fit

__all__ = ["FILE", "Saved", "fit_config_", "from_pretrained", "save_pretrained"]

_WEIGHTS = ("*.safetensors.index.json", "model*.safetensors", "pytorch_model*")

FILE = "secateur.safetensors"
"""The file in a saved folder that holds a model which no configuration describes."""


@dataclass(frozen=True)
class Saved:
    """How a model was saved.

    Attributes:
        folder: where.
        config: the fields of the configuration that say how small the model is, before and after; None for one left open.
        why_not: why no configuration says it; None when one does, and the model's own ``from_pretrained`` loads the folder.
    """

    folder: Path
    config: dict[str, tuple[Any, Any]]
    why_not: str | None

    def __str__(self) -> str:
        if self.why_not is None:
            fields = ", ".join(f"{name} {before} → {after}" for name, (before, after) in self.config.items())
            return f"{self.folder}: load it with from_pretrained of its class ({fields or 'the configuration is as it was'})"
        return f"{self.folder}: load it with secateur.integrations.transformers.from_pretrained; {self.why_not}"


def save_pretrained(model: Any, folder: str | os.PathLike[str], example_inputs: ExampleInputs) -> Saved:
    """Save a shrunken Transformers model; the model itself stays as it is.

    Where a configuration of the model's class says how small it is, the folder is an ordinary one: the class's own
    ``from_pretrained`` loads it, and so does every tool that reads such folders. Where none does, as when layers have other
    widths than their neighbours, the folder holds the configuration of the dense model and a file of this library with the
    shape plan, which :func:`from_pretrained` loads.

    Args:
        model: a ``PreTrainedModel``, whether shrunken or not.
        folder: a folder to write to; it is made if it is not there.
        example_inputs: what the model takes; the one made from the new configuration is checked on them to be equal.

    Returns:
        How it was saved, and why; prints as a sentence.

    Raises:
        ModelError: it is no Transformers model, or its constructor takes more than a configuration.
        RunError: the folder cannot be written.
    """
    model, folder = _checked(model), Path(folder)
    try:
        made, fields = fit(model, example_inputs)
    except Misfit as e:
        _save_with_plan(model, folder)
        return Saved(folder, {}, f"no {type(model.config).__name__} says how small it is: {e}")
    if model.can_generate():
        made.generation_config = model.generation_config
    with _writing(folder):
        made.save_pretrained(folder)
        (folder / FILE).unlink(missing_ok=True)  # an earlier model of ours
    return Saved(folder, _named(fields), None)


def from_pretrained(folder: str | os.PathLike[str], model_class: Any = None) -> Any:
    """Load what :func:`save_pretrained` saved, in evaluation mode.

    Args:
        folder: the folder.
        model_class: the class that was saved; the one of that name in Transformers unless it is given.

    Raises:
        FormatError: there is no such folder, its files are damaged or do not belong together, or the class is not known.

    Returns:
        The model.
    """
    transformers, folder = require("transformers", "hf"), Path(folder)
    if not (folder / "config.json").is_file():
        raise FormatError(f"there is no {folder / 'config.json'}; give a folder that save_pretrained wrote")
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_class = model_class or _named_class(transformers, fields["architectures"][0])
        config = model_class.config_class.from_pretrained(folder)
    except FormatError:
        raise
    except Exception as e:
        raise FormatError(f"{folder / 'config.json'} is no configuration ({e}); save the model again") from e
    if not (folder / FILE).is_file():
        return model_class.from_pretrained(folder)
    model = load(folder / FILE, _roomy(model_class, config, stored_types(folder / FILE)))
    if (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    return model.eval()


def fit_config_(model: Any, example_inputs: ExampleInputs) -> dict[str, tuple[Any, Any]]:
    """Change ``model.config`` so that it says how small a shrunken Transformers model is.

    The model is an ordinary one from then on: its own ``save_pretrained`` works, also in the hands of a ``Trainer``, and
    :func:`secateur.load` fills one made from the new configuration. Blocks that were taken out leave no gap: those that are
    left are numbered anew.

    Args:
        model: a ``PreTrainedModel``.
        example_inputs: what the model takes; a model made from the new configuration is checked on them to be equal.

    Returns:
        The fields that changed, before and after.

    Raises:
        ModelError: no configuration of its class says it; the model is as it was.
    """
    model = _checked(model)
    try:
        made, fields = fit(model, example_inputs)
    except Misfit as e:
        raise ModelError(
            f"no {type(model.config).__name__} says how small the model is: {e}; "
            "save it with secateur.integrations.transformers.save_pretrained"
        ) from e
    close_up_(model)
    twins, kind = dict(made.named_modules()), require("transformers", "hf").PretrainedConfig
    for name, module in model.named_modules():
        for key, value in vars(twins.get(name, module)).items():
            if type(value) is int or isinstance(value, kind):
                vars(module)[key] = value
    forget_(model)
    return _named(fields)


# ---------------------------------------------------------------- inside


def _checked(model: Any) -> Any:
    """The plain Transformers model."""
    model = unwrap(model)
    if not isinstance(model, require("transformers", "hf").PreTrainedModel):
        raise ModelError(f"{type(model).__name__} is no Transformers model; save it with secateur.save")
    return model


def _named_class(transformers: Any, name: str) -> Any:
    found = getattr(transformers, name, None)
    if not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise FormatError(f"Transformers has no model class {name!r}; give it as model_class")
    return found


def _roomy(model_class: Any, config: Any, types: dict[str, torch.dtype]) -> Any:
    """A dense model of the types in a file, without values where the file has them all: large ones take long to draw."""
    try:
        with torch.device("meta"):
            model = model_class(config)
        names, ties = {n for n, _ in _tensors(model)}, _ties(model)
        model.to_empty(device="cpu").tie_weights()
        loose = any(isinstance(v, torch.Tensor) for m in model.modules() for v in vars(m).values())
        complete = names <= types.keys() and not loose and _ties(model) == ties
    except Exception:  # a class that computes with values when it is made
        complete = False
    model = model if complete else model_class(config)
    for name, tensor in _tensors(model):
        tensor.data = tensor.data.to(types.get(name, tensor.dtype))
    return model


def _tensors(model: Any) -> list[tuple[str, torch.Tensor]]:
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def _ties(model: Any) -> list[int]:
    """For each tensor the first that is the same."""
    first: dict[int, int] = {}
    return [first.setdefault(id(tensor), k) for k, (_, tensor) in enumerate(_tensors(model))]


def _named(fields: dict[Field, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    return {".".join(map(str, field)): sizes for field, sizes in fields.items()}


def _save_with_plan(model: Any, folder: Path) -> None:
    other = next((p for pattern in _WEIGHTS for p in folder.glob(pattern)), None)
    if other is not None:
        raise RunError(f"{other} is another model's, which from_pretrained would load; give an empty folder")
    config = dense_config(model)
    config.architectures = [type(model).__name__]
    with _writing(folder):
        save(model, folder / FILE)
        config.save_pretrained(folder)
        if model.can_generate():
            model.generation_config.save_pretrained(folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as e:
        raise RunError(f"{folder} cannot be written ({e}); give a writable folder") from e
