from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_fakes import comparison

from secateur.core.errors import FormatError
from secateur.evaluate.report import Comparison, Layer, Point

number = st.none() | st.floats()
accuracy = st.none() | st.floats(0, 1)
points = st.builds(
    Point,
    task=st.text(),
    model=st.text(),
    method=st.text(),
    seed=st.integers(),
    target_compression=st.floats(0.1, 1e6),
    control=st.booleans(),
    compression=number,
    speedup=number,
    top1=accuracy,
    top5=accuracy,
    dense_top1=accuracy,
    file_bytes=st.none() | st.integers(0, 2**60),
    latency_ms=number,
    layers=st.lists(st.builds(Layer, st.text(), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=3).map(tuple),
    error=st.none() | st.text(),
)


@given(st.lists(points, max_size=3), st.text(), st.lists(st.text(), max_size=2))
def test_json_round_trip(some: list[Point], title: str, notes: list[str]) -> None:
    c = Comparison(title=title, points=tuple(some), notes=tuple(notes), settings={"epochs": 3})
    text = json.dumps(c.to_dict(), allow_nan=False)
    assert Comparison.from_dict(json.loads(text)) == c


def test_round_trip_of_a_whole_comparison() -> None:
    c = comparison()
    assert Comparison.from_dict(json.loads(json.dumps(c.to_dict()))) == c


def test_infinite_is_not_measured() -> None:
    p = Point(task="t", model="m", method="x", seed=0, target_compression=2.0, compression=math.inf, speedup=math.nan)
    assert (p.compression, p.speedup) == (None, None)


def test_ratios() -> None:
    p = Point(task="t", model="m", method="x", seed=0, target_compression=2.0, file_bytes=50, dense_bytes=400, latency_ms=0.0,
              dense_latency_ms=1.0)  # fmt: skip
    assert (p.file_ratio, p.measured_speedup, p.top1_change) == (8.0, None, None)


GOOD: dict[str, Any] = {"task": "t", "model": "m", "method": "x", "seed": 0, "target_compression": 2.0}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"top1": 97.8}, r"top1 must be a fraction in \[0, 1\]; got 97.8"),
        ({"top_1": 0.9}, "no field 'top_1'; did you mean 'top1'"),
        ({"seed": "zero"}, "'seed' must be a whole number; got 'zero'"),
        ({"layers": [["a", 1]]}, r"list of \[name, total, nonzero\]"),
        ({"layers": 3}, r"list of \[name, total, nonzero\]"),
        ({"target_compression": 0}, "target_compression must be > 0"),
        ({"error": 5}, "'error' must be a text"),
    ],
)
def test_a_bad_point_is_a_format_error(change: dict[str, Any], says: str) -> None:
    with pytest.raises(FormatError, match=says):
        Point.from_dict({**GOOD, **change})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "must be a mapping with a whole number 'version'"),
        ({"version": "1"}, "whole number 'version'"),
        ({"version": 2, "title": "x"}, "has version 2; this secateur reads up to 1"),
        ({"version": 1}, "needs 'title'"),
        ({"version": 1, "title": "x", "points": {}}, "'points' must be a list"),
        ({"version": 1, "title": "x", "points": [3]}, "a point must be a mapping; got 3"),
        ({"version": 1, "title": "x", "poinst": []}, "did you mean 'points'"),
        ({"version": 1, "title": "x", "mask_pictures": [{**GOOD, "values": []}]}, "a mask picture has no field"),
        (
            {"version": 1, "title": "x", "mask_pictures": [{"task": "t", "model": "m", "method": "x", "values": [[2]]}]},
            "in .0, 1.",
        ),
    ],
)
def test_a_bad_comparison_is_a_format_error(data: object, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        Comparison.from_dict(data)
