"""``secateur data``: bring a data set to this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..training.data import cache_folder
from ..training.data import fetch as fetch_data
from .console import make_console

__all__ = ["app"]

app = typer.Typer(help="Bring data sets to this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Bring data sets to this machine."""


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="mnist, cifar10 or tinyshakespeare")],
    folder: Annotated[Path | None, typer.Option(help="where to put it [default: the user's cache]")] = None,
) -> None:
    """Download a data set and check its checksums."""
    where = fetch_data(name, folder or cache_folder())
    make_console().print(f"{name} is in {where}", highlight=False)
