from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from report_fakes import comparison

from secateur.evaluate.report import aggregate
from secateur.evaluate.report.aggregate import front as front_of
from secateur.evaluate.report.pareto import front

pairs = st.lists(st.none() | st.tuples(st.integers(1, 9).map(float), st.integers(0, 9).map(float)), max_size=20)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a != b


@given(pairs)
def test_exactly_what_nothing_dominates_is_on_the_front(values: list[tuple[float, float] | None]) -> None:
    there = {i: v for i, v in enumerate(values) if v is not None}
    expected = {i for i, v in there.items() if not any(dominates(w, v) for w in there.values())}
    assert front(values) == expected
    assert bool(expected) == bool(there)


@given(pairs)
def test_directions_mirror_each_other(values: list[tuple[float, float] | None]) -> None:
    assert front(values) == front([v and (1 / v[0], v[1]) for v in values], x_up=False)
    assert front(values) == front([v and (v[0], -v[1]) for v in values], y_up=False)


@given(st.lists(st.tuples(st.floats(1, 100), st.floats(0, 1)), min_size=1, max_size=20))
def test_with_slack_the_best_stays_and_nothing_joins(values: list[tuple[float, float]]) -> None:
    wide, exact = front(values), front(values, slack=0)
    assert wide <= exact
    highest = max(y for _, y in values)
    assert any(values[i][1] == highest for i in wide)


def test_a_hair_of_compression_does_not_buy_a_place() -> None:
    assert front([(15.99, 0.94), (16.01, 0.89)]) == {0}
    assert front([(15.0, 0.94), (16.01, 0.89)]) == {0, 1}


def test_dense_is_not_judged_and_the_front_falls() -> None:
    groups = front_of([s for s in aggregate(comparison().points) if s.model == "digits_mlp"])
    assert groups
    assert "dense" not in {s.method for s in groups}
    ordered = sorted((s.compression.mean, s.top1.mean) for s in groups if s.compression and s.top1)
    assert [y for _, y in ordered] == sorted((y for _, y in ordered), reverse=True)
