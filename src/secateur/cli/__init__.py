"""The command line: ``secateur demo``, ``run``, ``sweep``, ``report``, ``methods``, ``inspect``, ``compress``, ``expand``,
``measure``, ``data``, ``bench``.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ..core.errors import SecateurError
from . import bench, compress, data, demo, inspect, measure, methods, report, run, sweep

__all__ = ["app", "main"]

app = typer.Typer(
    name="secateur",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            print(f"secateur {version('secateur')}")
        except PackageNotFoundError:
            print("secateur, not installed: run from its source tree")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Prune PyTorch networks: every published method as one sentence of five words."""


app.command("demo")(demo.demo)
app.command("run")(run.run_file)
app.command("sweep")(sweep.sweep_file)
app.command("report")(report.report)
app.command("methods")(methods.methods)
app.command("inspect")(inspect.inspect)
app.command("compress")(compress.compress)
app.command("expand")(compress.expand)
app.command("measure")(measure.measure_model)
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line; what the library refuses is one red sentence and exit code 2."""
    here = str(Path.cwd())
    if here not in sys.path:  # import paths like mine:Net mean the user's own files
        sys.path.insert(0, here)
    try:
        app()
    except SecateurError as e:
        Console(stderr=True, soft_wrap=True).print("[bold red]secateur:[/]", Text(str(e)), highlight=False)
        sys.exit(2)
