from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur import RecipeError
from secateur.schedule import Cubic, Iterative, OneShot, Polynomial

CUBIC = [0, 0.2439, 0.4392, 0.5913, 0.7056, 0.7875, 0.8424, 0.8757, 0.8928, 0.8991, 0.9]


def test_cubic_golden_values():
    """s_t = 0.9 − 0.9·(1 − t/10)³."""
    ramp = Cubic(sparsity=0.9, begin=0, end=10, every=1)
    assert [ramp.at_step(t) for t in range(11)] == pytest.approx(CUBIC, abs=1e-9)
    assert ramp.at_step(10) == 0.9
    later = Cubic(sparsity=0.9, begin=500, end=1500, every=100)
    assert [later.at_step(t) for t in range(500, 1501, 100)] == pytest.approx(CUBIC, abs=1e-9)
    assert [later.at_step(t) for t in (0, 499, 501, 1499, 1501, 1600)] == [None] * 6


def test_a_ramp_that_starts_higher():
    # 0.8 + (0.2 − 0.8)·(1 − ½)^2 = 0.65
    ramp = Polynomial(sparsity=0.8, initial=0.2, begin=0, end=4, every=2, power=2)
    assert [ramp.at_step(t) for t in range(6)] == [pytest.approx(0.2), None, pytest.approx(0.65), None, 0.8, None]


@given(
    st.floats(0, 0.999), st.floats(0, 1), st.integers(0, 50), st.integers(1, 30), st.integers(1, 9), st.floats(0.2, 6),
    st.floats(0, 0.999),
)  # fmt: skip
def test_a_ramp_never_goes_down_and_ends_at_its_end(sparsity, part, begin, events, every, power, other):
    ramp = Polynomial(
        sparsity=sparsity, initial=part * sparsity, begin=begin, end=begin + events * every, every=every, power=power
    )
    for schedule in (ramp, ramp.at(other)):
        values = [s for t in range(schedule.end + 5) if (s := schedule.at_step(t)) is not None]
        assert len(values) == events + 1
        assert all(a <= b + 1e-15 for a, b in itertools.pairwise(values))
        assert values[-1] == schedule.final
    assert ramp.at(other).final == other


@given(st.integers(1, 30), st.floats(0, 0.99), st.floats(0, 0.999))
def test_rounds_take_equal_shares_of_the_survivors(rounds, rate, other):
    schedule = Iterative(rounds=rounds, rate=rate)
    left = [1 - schedule.at_round(r) for r in range(1, rounds + 1)]
    assert left == pytest.approx([(1 - rate) ** r for r in range(1, rounds + 1)])
    assert schedule.at_round(rounds) == schedule.final
    assert (schedule.at_round(0), schedule.at_round(rounds + 1), schedule.at_step(3)) == (None, None, None)
    assert schedule.at(other).final == pytest.approx(other, abs=1e-12)
    assert schedule.at(other).rounds == rounds


@given(st.floats(0, 0.999), st.integers(0, 10**6))
def test_one_shot(sparsity, t):
    shot = OneShot(sparsity=sparsity, at_training_step=t)
    assert (shot.at_step(t), shot.at_step(t + 1), shot.at_round(1), shot.at_round(2)) == (sparsity, None, sparsity, None)
    assert shot.at(0.25) == OneShot(sparsity=0.25, at_training_step=t)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Cubic(begin=10, end=10), "schedule 'cubic' needs end > begin; got begin=10, end=10"),
        (
            lambda: Cubic(begin=0, end=250, every=100),
            "schedule 'cubic' needs end − begin to be a multiple of every; got begin=0, end=250, every=100; "
            "the nearest end that fits is 200",
        ),
        (
            lambda: Polynomial(begin=3, end=4, every=100),
            "schedule 'polynomial' needs end − begin to be a multiple of every; got begin=3, end=4, every=100; "
            "the nearest end that fits is 103",
        ),
        (
            lambda: Cubic(sparsity=0.5, initial=0.6),
            "schedule 'cubic' needs initial ≤ sparsity; got initial=0.6, sparsity=0.5",
        ),
        (lambda: Cubic(power=2), "schedule 'cubic': power must be one of 3.0; got 2.0"),
        (lambda: OneShot(sparsity=1.0), "schedule 'one_shot': sparsity must be ≥ 0 and < 1; got 1"),
        (lambda: OneShot(sparsity=90), "schedule 'one_shot': sparsity must be ≥ 0 and < 1; got 90"),
        (lambda: Iterative(rounds=0), "schedule 'iterative': rounds must be ≥ 1; got 0"),
        (lambda: Iterative(rounds=2.5), "schedule 'iterative': rounds must be a whole number; got 2.5"),
        (lambda: Iterative(rate=float("nan")), "schedule 'iterative': rate must be a finite number; got nan"),
    ],
)
def test_bad_parameters(make, sentence):
    with pytest.raises(RecipeError) as e:
        make()
    assert str(e.value) == sentence


def test_one_shot_in_passes():
    """ρ_k = ρ^(k/n): 0.01 in two passes is 0.1, then 0.01; from half of it, what is left to go in equal factors."""
    shot = OneShot(sparsity=0.99, iterations=2)
    assert shot.passes(0.0, 0.99) == pytest.approx((0.9, 0.99))
    assert shot.passes(0.9, 0.999) == pytest.approx((0.99, 0.999))
    assert shot.passes(0.5, 0.5) == (0.5,)
    assert shot.passes(0.5, 0.2) == (0.2,)
    assert shot.passes(0.2, 1.0) == (1.0,)
    assert OneShot(sparsity=0.9).passes(0.0, 0.9) == (0.9,)
    assert Cubic().passes(0.1, 0.2) == (0.2,)
    assert shot.at_round(1) == shot.at_step(0) == 0.99
    hundred = OneShot(sparsity=0.9, iterations=100).passes(0.0, 0.9)
    assert (len(hundred), hundred[-1], hundred[49]) == (100, 0.9, pytest.approx(1 - 0.1**0.5))


@given(st.floats(0, 0.99), st.floats(0, 0.999), st.integers(1, 40))
def test_passes_never_go_down_and_end_where_they_should(now, sparsity, iterations):
    found = OneShot(sparsity=sparsity, iterations=iterations).passes(now, sparsity)
    assert found[-1] == sparsity
    assert all(a <= b for a, b in itertools.pairwise(found))
    assert len(found) == (iterations if now < sparsity else 1)
