"""The command line: ``secateur demo``, ``run``, ``report``, ``methods``, ``inspect``, ``measure``, ``data``."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.text import Text

from ..core.errors import SecateurError
from . import data, demo, inspect, measure, methods, report, run

__all__ = ["app", "main"]

app = typer.Typer(
    name="secateur",
    help="Prune PyTorch networks: every published method as one sentence of five words.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("demo")(demo.demo)
app.command("run")(run.run_file)
app.command("report")(report.report)
app.command("methods")(methods.methods)
app.command("inspect")(inspect.inspect)
app.command("measure")(measure.measure_model)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the command line; what the library refuses is one red sentence and exit code 2."""
    try:
        app()
    except SecateurError as e:
        Console(stderr=True, soft_wrap=True).print("[bold red]secateur:[/]", Text(str(e)), highlight=False)
        sys.exit(2)
