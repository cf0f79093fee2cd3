"""``secateur compress`` and ``secateur expand``: a safetensors file as small as it can be, and plain again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..codec.compress import CODERS
from ..codec.expand import compress_file
from ..codec.expand import expand as expand_file
from ..core.errors import ModelError, did_you_mean
from .console import make_console

__all__ = ["compress", "expand"]


def compress(
    file: Annotated[Path, typer.Argument(help="a safetensors file, plain or written by secateur.save")],
    to: Annotated[Path, typer.Argument(help="the file to write")],
    coder: Annotated[str, typer.Option(help="range, rans (quick for all), huffman (as in Deep Compression), or none")] = "range",
    layout: Annotated[str | None, typer.Option(help="one layout for all matrices it fits; the smallest when left out")] = None,
    index_bits: Annotated[int | None, typer.Option(help="bits of a gap, as in Deep Compression")] = None,
    finite: Annotated[bool, typer.Option("--finite", help="refuse NaN and infinities")] = False,
) -> None:
    """Write the tensors of a file to the smallest file that holds them, bit for bit."""
    if coder not in CODERS:
        raise ModelError(f"there is no coder {coder!r}; {did_you_mean(coder, CODERS)}")
    compress_file(file, to, coder=coder, layout=layout, index_bits=index_bits, finite=finite)
    _tell(file, to)


def expand(
    file: Annotated[Path, typer.Argument(help="a file written by secateur.save or secateur compress")],
    to: Annotated[Path, typer.Argument(help="the file to write")],
    any_size: Annotated[bool, typer.Option("--any-size", help="write it however large it is")] = False,
) -> None:
    """Write the tensors of a file as a plain safetensors file."""
    if any_size:
        expand_file(file, to, limit=None)
    else:
        expand_file(file, to)
    _tell(file, to)


def _tell(file: Path, to: Path) -> None:
    before, after = file.stat().st_size, to.stat().st_size
    ratio = f"{before / after:.1f} times smaller" if after < before else f"{after / before:.1f} times larger"
    make_console().print(f"{to}: {after:,} bytes, {ratio} than {file.name}", highlight=False, soft_wrap=True)
