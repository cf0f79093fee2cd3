"""All commands: ``secateur demo``, ``run``, ``sweep``, ``report``, ``methods``, ``inspect``, ``compress``, ``expand``,
``measure``, ``data``, ``bench``.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from . import bench, compress, data, demo, inspect, measure, methods, report, run, sweep

__all__ = ["app"]

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
