"""Write a report's folder: the page, the figures, the numbers."""

from __future__ import annotations

import csv
import dataclasses as dc
import io
import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import FormatError, RunError, require
from ...core.files import atomic_write
from .data import Comparison, Point
from .page import html
from .section import sections
from .significance import Difference, compare

__all__ = ["read_comparison", "write_report"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_report(comparison: Comparison, folder: Path, *, within: float = 0.01) -> Path:
    """Write ``report.html``, ``figures/*.png`` and ``*.svg``, ``points.csv``, ``.parquet`` and ``.json``, ``differences.csv``.

    Args:
        comparison: what to show.
        folder: where to; made when it is not there, files of the same name are replaced.
        within: what a knee may lose against the dense network, as a fraction; 0.01 is one point.

    Returns:
        the path of ``report.html``.

    Raises:
        DependencyError: matplotlib, jinja2, scipy or pyarrow is not installed.
        RunError: the folder cannot be written.
    """
    folder = Path(folder)
    differences = compare(comparison.points)
    parts = sections(comparison, within, differences)
    page = html(comparison, parts, within)
    data = points_json(comparison)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        _put(folder / "points.json", data.encode())
        _put(folder / "points.csv", points_csv(comparison).encode())
        _put(folder / "points.parquet", points_parquet(comparison))
        _put(folder / "differences.csv", differences_csv(differences).encode())
        for figure in (f for part in parts for f in part.figures):
            if figure.png is not None:
                _put(folder / "figures" / f"{figure.name}.png", figure.png)
            _put(folder / "figures" / f"{figure.name}.svg", figure.svg.encode())
        _put(folder / "report.html", page.encode())
    except OSError as e:
        raise RunError(
            f"the report cannot be written to {str(folder)!r}: {e.strerror or e}; free the place or choose another"
        ) from e
    return folder / "report.html"


def read_comparison(path: Path) -> Comparison:
    """The comparison a report's folder, or its ``points.json``, was written from.

    Raises:
        RunError: there is no such file, or it cannot be read.
        FormatError: it is not a comparison.
    """
    path = Path(path)
    path = path / "points.json" if path.is_dir() else path
    try:
        return Comparison.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as e:
        raise RunError(f"no report data at {str(path)!r}: {e.strerror or e}; give a folder that has a points.json") from e
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as e:
        raise FormatError(f"{str(path)!r} is not JSON: {e}; write the report again") from e


EXTRA = ("top1_change", "file_ratio", "measured_speedup", "perplexity", "energy_ratio")


def points_csv(comparison: Comparison) -> str:
    """All points, a line each, without their layers; a text that a spreadsheet would run as a formula gets a leading quote."""
    names = [*_columns(), *EXTRA]
    return _csv([names, *([_plain(getattr(p, n)) for n in names] for p in comparison.points)])


def points_json(comparison: Comparison) -> str:
    """Everything the report was written from; a line each point, which is a tenth of the time that indenting takes."""
    whole = comparison.to_dict()
    plain = partial(json.dumps, ensure_ascii=False, allow_nan=False, default=str)
    points = ",\n".join(map(plain, whole.pop("points")))
    rest = ",\n".join(f"{plain(name)}: {plain(value)}" for name, value in whole.items())
    return f'{{{rest},\n"points": [\n{points}\n]}}\n'


def points_parquet(comparison: Comparison) -> bytes:
    """The same table with the columns' types, texts as they are, and the layers as lists of (name, total, nonzero)."""
    arrow: Any = require("pyarrow", "report")
    parquet: Any = require("pyarrow.parquet", "report")
    kinds = {"str": arrow.string(), "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()}
    layer = arrow.struct([("name", arrow.string()), ("total", arrow.int64()), ("nonzero", arrow.int64())])
    types = {n: kinds[kind.split(" ")[0]] for n, kind in _columns().items()} | dict.fromkeys(EXTRA, arrow.float64())
    columns = {n: arrow.array([getattr(p, n) for p in comparison.points], type=kind) for n, kind in types.items()}
    columns["layers"] = arrow.array([[x._asdict() for x in p.layers] for p in comparison.points], type=arrow.list_(layer))
    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def differences_csv(differences: Sequence[Difference]) -> str:
    """Every comparison of two methods, a line each: how far apart, how sure."""
    names = [*(f.name for f in dc.fields(Difference)), "verdict"]
    return _csv([names, *([_plain(getattr(d, n)) for n in names] for d in differences)])


def _columns() -> dict[str, str]:
    """The fields of a point that fit a cell, and their types."""
    return {f.name: str(f.type) for f in dc.fields(Point) if f.name != "layers"}


def _csv(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _plain(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return str(value).lower() if isinstance(value, bool) else value


def _put(path: Path, content: bytes) -> None:
    with atomic_write(path) as f:
        f.write(content)
