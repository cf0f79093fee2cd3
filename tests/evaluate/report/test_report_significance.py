from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.evaluate.report import Point, compare
from secateur.evaluate.report.significance import fewest, holm, interval, sign_flip
from secateur.evaluate.report.verdicts import difference_tabs

stats = pytest.importorskip("scipy.stats")
differences = st.lists(st.integers(-50, 50).map(lambda i: i / 1000), min_size=2, max_size=9)


def runs(method: str, accuracies: list[float | None], target: float = 4.0) -> list[Point]:
    fields = {"task": "t", "model": "m", "method": method, "target_compression": target}
    return [Point(**fields, seed=s, top1=a, error=None if a is not None else "lost") for s, a in enumerate(accuracies)]  # type: ignore[arg-type]


@given(differences)
def test_the_exact_p_is_that_of_all_sign_patterns(values: list[float]) -> None:
    seen = abs(sum(values))
    signs = list(itertools.product((1, -1), repeat=len(values)))
    share = sum(abs(sum(s * v for s, v in zip(row, values, strict=True))) >= seen - 1e-9 for row in signs) / len(signs)
    assert sign_flip(values) == pytest.approx(share)


@given(st.lists(st.integers(-50, 50).filter(bool).map(lambda i: i / 1000), min_size=3, max_size=7))
def test_it_agrees_with_scipy(values: list[float]) -> None:
    theirs = stats.permutation_test((values,), lambda x: abs(sum(x)), permutation_type="samples", alternative="greater")
    assert sign_flip(values) == pytest.approx(theirs.pvalue)
    if len(set(values)) > 1:
        low, high = stats.ttest_1samp(values, 0).confidence_interval()
        assert interval(values) == (pytest.approx(low), pytest.approx(high))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_the_textbook_step_down(ps: list[float]) -> None:
    got = holm(ps)
    assert all(a >= p for a, p in zip(got, ps, strict=True))
    for i, p in enumerate(ps):
        before = [q for q in ps if q <= p]
        steps = [min(1.0, (len(ps) - k) * q) for k, q in enumerate(sorted(before))]
        assert got[i] == pytest.approx(max(steps))


def test_literal_values() -> None:
    (d,) = compare(runs("a", [0.95, 0.96, 0.97, 0.95, 0.96, 0.97]) + runs("b", [0.93, 0.95, 0.95, 0.94, 0.93, 0.96]))
    assert (d.a, d.b, d.n, d.mean) == ("a", "b", 6, pytest.approx(10 / 600))
    assert (d.p, d.p_holm, d.verdict) == (2 / 64, 2 / 64, "better")
    # differences 2 1 2 1 3 1 points: sd √(2/3), t₅ = 2.5706
    assert d.low == pytest.approx(0.01 * (10 / 6 - 2.570582 * (2 / 3) ** 0.5 / 6**0.5), rel=1e-6)
    assert d.high == pytest.approx(0.01 * (10 / 6 + 2.570582 * (2 / 3) ** 0.5 / 6**0.5), rel=1e-6)


def test_pairs_are_of_the_same_seed_and_failed_runs_are_in_none() -> None:
    (d,) = compare(runs("a", [0.9, None, 0.8, 0.7]) + runs("b", [0.8, 0.1, 0.7])[:3])
    assert (d.n, d.mean) == (2, pytest.approx(0.1))


def test_three_seeds_are_said_to_be_too_few_however_clear() -> None:
    points = [p for i, m in enumerate("abcd") for p in runs(m, [0.9 - i / 10 + s / 1000 for s in range(3)])]
    found = compare(points)
    assert len(found) == 6
    assert {(d.verdict, d.p, d.p_holm, d.reachable) for d in found} == {("too few seeds", 0.25, 1.0, 1.0)}
    (tab,) = difference_tabs("id", "m", found)
    assert tab.caption.startswith("Too few seeds to tell: with 3, the clearest difference possible has p = 1.00")
    assert "from 8 seeds on" in tab.caption


def test_fewest_is_where_the_clearest_difference_shows() -> None:
    for tests in (1, 3, 10, 45):
        n = fewest(tests)
        assert tests * 2.0 ** (1 - n) < 0.05 <= tests * 2.0 ** (2 - n)


def test_with_seeds_enough_the_table_marks_who_wins() -> None:
    found = compare(runs("a", [0.95 + s / 1000 for s in range(8)]) + runs("b", [0.9 + (s % 3) / 1000 for s in range(8)]))
    (tab,) = difference_tabs("id", "m", found)
    assert tab.table is not None
    cells = {
        (row[0].text, column[0]): cell for row in tab.table.rows for column, cell in zip(tab.table.columns, row, strict=True)
    }
    assert cells["a", "b"].text.startswith("▲ +")
    assert cells["b", "a"].text.startswith("▼ −")
    assert cells["a", "b"].hint.startswith("better: 8 seeds, 95 % t interval +")
    assert "1 of 1 difference are" in tab.caption or "1 of 1 difference" in tab.caption


def test_different_compressions_are_never_compared() -> None:
    assert compare(runs("a", [0.9, 0.8], 2.0) + runs("b", [0.9, 0.8], 4.0)) == []
    assert compare(runs("dense", [0.9, 0.8]) + runs("b", [0.9, 0.8])) == []


def test_a_language_model_is_judged_by_its_loss() -> None:
    """Less loss is better, whatever the accuracy says; the page speaks of nats."""
    fields = {"task": "t", "model": "m", "target_compression": 4.0, "kind": "language"}
    points = [
        Point(**fields, method=m, seed=s, top1=0.5 + (m == "b") / 10, loss=1.5 + s / 1000 + (m == "b") / 20)
        for m in "ab" for s in range(8)
    ]  # fmt: skip
    (d,) = compare(points)
    assert (d.metric, d.mean, d.verdict) == ("loss", pytest.approx(-0.05), "better")
    (tab,) = difference_tabs("id", "m", [d])
    assert tab.table is not None
    assert tab.table.caption == "Differences at 4× of the loss of m, nats; less is better"
    a, b = tab.table.rows
    assert (a[2].text, b[1].text) == ("▲ −0.050", "▼ +0.050")
    assert a[2].hint.startswith("better: 8 seeds, 95 % t interval −0.050 to −0.050")
