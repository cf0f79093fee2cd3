"""``secateur measure``: parameters, multiply-adds, bytes and latency of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from ..codec import load
from ..core.errors import ModelError
from ..evaluate.measure import measure
from ..training.models import build_model

__all__ = ["measure_model"]


def measure_model(
    model: Annotated[str, typer.Argument(help="a model by name (resnet_56) or import path (package.module:Class)")],
    shape: Annotated[str, typer.Option("--input", help="shape of the example input, e.g. 1,3,32,32")],
    weights: Annotated[Path | None, typer.Option(help="file written by secateur.save, to fill the model with")] = None,
    argument: Annotated[list[str] | None, typer.Option(help="constructor argument, e.g. classes=100 (repeatable)")] = None,
) -> None:
    """Measure a model by Blalock's definitions: parameters, non-zeros, multiply-adds, bytes, warm median latency."""
    try:
        example = torch.zeros([int(n) for n in shape.split(",")])
    except (ValueError, RuntimeError) as e:
        raise ModelError(f"--input must be sizes separated by commas, e.g. 1,3,32,32; got {shape!r}") from e
    net = build_model(model, **dict(map(_pair, argument or [])))
    if weights is not None:
        load(weights, net)
    Console().print(measure(net, example))


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
