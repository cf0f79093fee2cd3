from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.evaluate.report import Point, Stat, aggregate, best, dense_stat, knee, stat


def point(method: str = "magnitude", target: float = 2.0, seed: int = 0, top1: float = 0.95, **more: object) -> Point:
    fields = {"task": "t", "model": "m", "compression": target, "dense_top1": 0.96, "control": method in ("random", "dense")}
    return Point(**{**fields, "method": method, "target_compression": target, "seed": seed, "top1": top1, **more})  # type: ignore[arg-type]


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_stat_is_the_sample_mean_and_deviation(values: list[float]) -> None:
    got = stat(values)
    assert got is not None
    assert got.mean == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert got.std == pytest.approx(statistics.stdev(values))


def test_stat_golden() -> None:
    assert stat([2.0, 4.0, 4.0, 6.0]) == Stat(4.0, pytest.approx((8 / 3) ** 0.5), 4)
    assert stat([None, 0.5]) == Stat(0.5, None, 1)
    assert stat([None]) is None


@given(st.permutations([point(m, t, s, 0.9 + s / 100) for m in ("a", "random") for t in (2.0, 8.0) for s in range(3)]))
def test_groups_do_not_depend_on_the_order_of_points(points: list[Point]) -> None:
    groups = aggregate(points)
    assert [(g.method, g.target, g.n) for g in groups] == [("a", 2, 3), ("a", 8, 3), ("random", 2, 3), ("random", 8, 3)]
    assert all(g.top1 is not None and g.top1.mean == pytest.approx(0.91) and g.top1.std == pytest.approx(0.01) for g in groups)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([2.0, 4.0]), st.booleans()), max_size=30))
def test_every_point_is_counted_once(rows: list[tuple[str, float, bool]]) -> None:
    points = [point(m, t, i, error="boom" if bad else None) for i, (m, t, bad) in enumerate(rows)]
    groups = aggregate(points)
    assert sum(g.n for g in groups) == sum(not bad for *_, bad in rows)
    assert sum(g.failed for g in groups) == sum(bad for *_, bad in rows)


def test_a_failed_run_is_counted_and_in_no_mean() -> None:
    (group,) = aggregate([point(top1=0.9), point(seed=1, top1=0.1, error="out of memory")])
    assert (group.n, group.failed, group.top1) == (1, 1, Stat(0.9, None, 1))


def test_change_is_against_the_same_seed() -> None:
    (group,) = aggregate([point(top1=0.90, dense_top1=0.91), point(seed=1, top1=0.95, dense_top1=0.98)])
    assert group.top1_change is not None
    assert group.top1_change.mean == pytest.approx(-0.02)


def test_dense_from_its_runs_or_from_what_the_others_say() -> None:
    said = [point(seed=s, target=t, dense_top1=0.9 + s / 10) for s in (0, 1) for t in (2.0, 4.0, 8.0)]
    assert dense_stat(said, "t", "m") == Stat(pytest.approx(0.95), pytest.approx(0.0707106781), 2)
    run = point("dense", 1.0, 0, 0.93)
    assert dense_stat([*said, run], "t", "m") == Stat(0.93, None, 1)
    assert dense_stat(said, "t", "other") is None


def test_knee_is_the_highest_compression_within_a_point() -> None:
    groups = aggregate([point(target=t, top1=a) for t, a in [(2, 0.95), (4, 0.951), (8, 0.95), (16, 0.9499), (32, 0.2)]])
    dense = Stat(0.96, None, 1)
    assert [g.target for g in [knee(groups, dense)] if g] == [8]
    assert [g.target for g in [knee(groups, dense, within=0.02)] if g] == [16]
    assert knee(groups, dense, within=0.001) is None
    assert knee(groups, None) is None


def test_a_group_with_a_failure_is_no_knee() -> None:
    points = [point(target=2.0), point(target=4.0), point(target=4.0, seed=1, error="killed")]
    got = knee(aggregate(points), Stat(0.95, None, 1))
    assert got is not None
    assert got.target == 2.0


def test_best_is_no_control_and_prefers_accuracy_among_equal_compressions() -> None:
    points = [
        point("a", 8.0, top1=0.955, compression=8.01),
        point("b", 8.0, top1=0.959, compression=7.99),
        point("c", 4.0, top1=0.96),
        point("random", 16.0, top1=0.96),
    ]
    got = best(aggregate(points), Stat(0.96, None, 1))
    assert got is not None
    assert got.method == "b"
    assert best([], Stat(0.96, None, 1)) is None
