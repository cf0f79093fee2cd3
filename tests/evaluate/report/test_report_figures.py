from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_fakes import comparison

from secateur.evaluate.report import MaskPicture, Point, aggregate, dense_stat
from secateur.evaluate.report.figures import curves, layers, mask
from secateur.evaluate.report.figures.axes import VIEWS, X, decimal_ticks, log_ticks
from secateur.evaluate.report.figures.render import render
from secateur.evaluate.report.figures.style import VARIABLES, looks

VIEW = VIEWS[False][0][0]


@given(st.lists(st.floats(-0.5, 1.5), max_size=25).map(sorted), st.floats(0.01, 0.1))
def test_labels_keep_order_and_room(wanted: list[float], height: float) -> None:
    heights = [height] * len(wanted)
    places = curves.spread(wanted, heights, 0.0, 1.0)
    gap = min(height, 1 / max(len(wanted), 1))
    assert all(b - a >= gap - 1e-9 for a, b in itertools.pairwise(places))
    assert all(gap / 2 - 1e-9 <= p <= 1 - gap / 2 + 1e-9 for p in places)


@given(st.floats(0.01, 1e4), st.floats(1.05, 1e6))
def test_log_ticks_are_few_and_inside(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert 1 <= len(ticks) <= 9
    assert all(low <= t <= low * factor for t in ticks)
    assert ticks == sorted(set(ticks))


@given(st.floats(1e-9, 1e9), st.floats(1.05, 1e6))
def test_decimal_ticks_are_few_and_inside(low: float, factor: float) -> None:
    ticks = decimal_ticks(low, low * factor)
    assert 1 <= len(ticks) <= 9
    assert all(low <= t <= low * factor for t in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize("language", [False, True])
def test_every_axis_runs_towards_what_is_better(language: bool) -> None:
    """The last point of a line, where its name is, is the one that was pruned most; here that is the best on every axis."""
    groups = [s for s in aggregate(comparison().points) if s.model == "digits_mlp"]
    for view in VIEWS[language][0] + VIEWS[language][1]:
        for line in curves.curves(groups, view):
            assert line.x == sorted(line.x, reverse=not X[view.x].up)


def test_a_line_follows_the_compression_where_x_is_noise() -> None:
    some = [Point(task="t", model="m", method="x", seed=0, target_compression=t, top1=a, latency_ms=ms)
            for t, a, ms in ((2.0, 0.9, 1.00), (4.0, 0.8, 1.01), (8.0, 0.7, 0.99))]  # fmt: skip
    (line,) = curves.curves(aggregate(some), VIEWS[False][1][2])
    assert (line.x, line.y) == ([1.0, 1.01, 0.99], [90, 80, 70])
    figure = curves.draw(aggregate(some), None, VIEWS[False][1][2], looks(some))
    left, right = figure.axes[0].get_xlim()
    assert left / right >= curves.LEAST  # 1 % of noise does not fill the figure


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e4))
def test_labels_of_ticks_do_not_touch(low: float, factor: float) -> None:
    ticks = decimal_ticks(low, low * factor)
    assert all(b / a >= factor**0.12 - 1e-9 for a, b in itertools.pairwise(ticks))


def test_curves_are_means_in_percent_sorted_by_x() -> None:
    c = comparison()
    lines = curves.curves([s for s in aggregate(c.points) if s.model == "digits_cnn"], VIEW)
    assert [line.method for line in lines] == [
        *("global_magnitude", "layer_magnitude", "gradient_magnitude", "han_2015"),
        "random",
    ]
    assert all(line.x == sorted(line.x) and len(line.x) == 5 and 50 < line.y[0] <= 100 for line in lines)


def test_a_collapsed_control_does_not_widen_the_figure() -> None:
    c = comparison()
    lines = curves.curves([s for s in aggregate(c.points) if s.model == "digits_mlp"], VIEW)
    low, high = curves.window(lines, dense_stat(c.points, "digits", "digits_mlp"), VIEW)
    assert min(line.y[-1] for line in lines if line.control) < 70 < 80 < low < high <= 103


def test_kept_joins_seeds_and_leaves_out_what_nobody_prunes() -> None:
    def point(seed: int, left: int) -> Point:
        rows = (("w", 100, left), ("b", 10, 10))
        return Point(task="t", model="m", method="x", seed=seed, target_compression=2.0, layers=rows)  # type: ignore[arg-type]

    assert layers.kept([point(0, 40), point(1, 60)]) == {"x": {2.0: {"w": 0.5}}}
    assert layers.kept([]) == {}


def test_the_same_figure_gives_the_same_bytes_and_has_no_fixed_colour() -> None:
    c = comparison()
    groups = [s for s in aggregate(c.points) if s.model == "digits_mlp"]

    def draw() -> object:
        return curves.draw(groups, dense_stat(c.points, "digits", "digits_mlp"), VIEW, looks(c.points))

    one, two = render("a", "alt", draw), render("a", "alt", draw)
    assert one == two
    assert not [colour for colour in VARIABLES if colour in one.inline]
    colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", one.inline))
    assert colours == set()
    ids = re.findall(r'\bid="([^"]*)"', one.inline)
    assert len(ids) == len(set(ids))
    assert all(i.startswith("a-") for i in ids)
    assert set(re.findall(r"url\(#([^)]*)\)", one.inline)) <= set(ids)


def test_matplotlib_settings_come_back() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    render("m", "alt", lambda: mask.draw([MaskPicture(task="t", model="m", method="$x^", values=((0.0, 1.0), (0.0, 0.0)))]))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("n", [1, 6, 60])
def test_layer_figure_of_any_depth(n: int) -> None:
    table = {f"method {m}": {t: {f"layer{i}": 1 / t for i in range(n)} for t in (2.0, 4.0, 32.0)} for m in range(7)}
    figure = render("layers", "alt", lambda: layers.draw(table))
    assert figure.png.startswith(b"\x89PNG")
    assert (">50</text>" in figure.inline) == (n <= layers.MAX_TEXT_ROWS)
