"""``secateur measure``: parameters, multiply-adds, bytes and latency of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from ..codec import load
from ..core.errors import ModelError, SecateurError
from ..evaluate.measure import measure
from ..training.models import build_model
from .console import make_console

__all__ = ["measure_model"]


def measure_model(
    model: Annotated[str, typer.Argument(help="a model by name (resnet_56) or import path (package.module:Class)")],
    shape: Annotated[str, typer.Option("--input", help="shape of the example input, e.g. 1,3,32,32")],
    weights: Annotated[Path | None, typer.Option(help="file written by secateur.save, to fill the model with")] = None,
    argument: Annotated[list[str] | None, typer.Option(help="constructor argument, e.g. classes=100 (repeatable)")] = None,
    tokens: Annotated[bool, typer.Option("--tokens", help="the input is whole numbers (characters, tokens)")] = False,
) -> None:
    """Measure a model by Blalock's definitions: parameters, non-zeros, multiply-adds, bytes, warm median latency."""
    try:
        example = torch.zeros([int(n) for n in shape.split(",")], dtype=torch.int64 if tokens else torch.float32)
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"--input must be sizes separated by commas, e.g. 1,3,32,32; got {shape!r}") from e
    net = build_model(model, **dict(map(_pair, argument or [])))
    if weights is not None:
        load(weights, net)
    try:
        with torch.inference_mode():
            net.eval()(example)  # what does not fit is told here, before anything is traced
        found = measure(net, example)
    except (RuntimeError, ValueError, TypeError, IndexError) as e:
        if isinstance(e, SecateurError):
            raise
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise ModelError(f"model {model!r} cannot be run on an input of shape {shape}: {reason}; see --input and --tokens") from e
    make_console().print(found)


def _pair(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ModelError(f"--argument must be name=value; got {text!r}")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
