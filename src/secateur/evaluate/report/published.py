"""Published results from a CSV file, to lay over one's own curves."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ...core.errors import FormatError, did_you_mean
from .data import Published

__all__ = ["COLUMNS", "Overlay", "read_published"]

COLUMNS = {
    "task": "data set, as the runs call it",
    "model": "network, as the runs call it",
    "method": "what the paper calls the method",
    "source": "the paper, e.g. Han et al. 2015",
    "compression": "original parameters / non-zero parameters",
    "speedup": "original multiply-adds / new multiply-adds",
    "top1": "accuracy in percent",
    "top5": "Top-5 accuracy in percent",
    "top1_change": "accuracy minus the paper's own dense accuracy, in points",
    "perplexity": "of a language task",
}
NEEDED = ("task", "model", "method")
PERCENT = ("top1", "top5", "top1_change")


class Overlay(NamedTuple):
    """What a file gave: the rows that could be read, and a sentence for each that could not."""

    rows: list[Published]
    complaints: list[str]


def read_published(path: Path, known: Iterable[tuple[str, str]] = ()) -> Overlay:
    """The published results of a CSV file with the columns of ``COLUMNS``; those without a value may be empty or missing.

    Args:
        path: the file, UTF-8, a header in its first line.
        known: (task, model) pairs of the runs; rows of others are left out with a sentence. Empty: all are taken.

    Raises:
        FormatError: the file cannot be read, or its header lacks a column or has an unknown one.
    """
    path, pairs = Path(path), {(_key(t), _key(m)): (t, m) for t, m in known}
    try:
        with path.open(encoding="utf-8-sig", newline="") as f:
            reader = csv.DictReader(f, skipinitialspace=True, strict=True)
            _check_header(path, reader.fieldnames or ())
            rows, complaints = list[Published](), list[str]()
            for row in reader:
                try:
                    rows.append(_row(row, pairs))
                except ValueError as e:
                    complaints.append(f"{path.name}, line {reader.line_num}: {e}; the row is left out")
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        why = e.strerror if isinstance(e, OSError) and e.strerror else e
        raise FormatError(f"published results {str(path)!r} cannot be read: {why}; give a CSV file in UTF-8") from e
    return Overlay(rows, complaints)


def _check_header(path: Path, names: Iterable[str]) -> None:
    names = list(names)
    for name in names:
        if name not in COLUMNS:
            raise FormatError(f"published results {str(path)!r} have no use for column {name!r}; {did_you_mean(name, COLUMNS)}")
    lacking = [n for n in NEEDED if n not in names]
    if lacking:
        raise FormatError(
            f"published results {str(path)!r} lack the column {', '.join(map(repr, lacking))}; the first line names the columns"
        )


def _row(row: dict[str, str | None], pairs: dict[tuple[str, str], tuple[str, str]]) -> Published:
    if None in row:
        raise ValueError("it has more cells than the header")
    texts = {name: (row.get(name) or "").strip() for name in COLUMNS}
    empty = [n for n in NEEDED if not texts[n]]
    if empty:
        raise ValueError(f"{empty[0]} is empty")
    numbers = {n: _number(n, texts[n]) for n in COLUMNS if n not in (*NEEDED, "source") and texts[n]}
    if not numbers.keys() & {"compression", "speedup"}:
        raise ValueError("it has neither compression nor speedup, so it has no place on a chart")
    if not numbers.keys() & {*PERCENT, "perplexity"}:
        raise ValueError("it has none of top1, top5, top1_change and perplexity")
    task, model = texts["task"], texts["model"]
    if pairs:
        found = pairs.get((_key(task), _key(model)))
        if found is None:
            raise ValueError(f"no run is of {model!r} on {task!r}")
        task, model = found
    return Published(task=task, model=model, method=texts["method"], source=texts["source"], **numbers)


def _number(name: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%").removesuffix("×").replace("−", "-"))
    except ValueError:
        raise ValueError(f"{name} must be a number; got {text!r}") from None
    if name in ("top1", "top5") and not 1 < value <= 100:
        raise ValueError(f"{name} is in percent, above 1 and up to 100; got {text!r}")
    if name == "top1_change" and not -100 <= value <= 100:
        raise ValueError(f"top1_change is in points, from -100 to 100; got {text!r}")
    if name not in PERCENT and not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0; got {text!r}")
    return value / 100 if name in PERCENT else value


def _key(name: str) -> str:
    """A name as it is compared: ``ResNet-56`` is ``resnet_56``."""
    return "".join(c for c in name.lower() if c.isalnum())
