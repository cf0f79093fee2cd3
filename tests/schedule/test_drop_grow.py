"""When units are exchanged, how many, and what that would cost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur import Recipe, RecipeError
from secateur.recovery import Finetune, Rewind
from secateur.schedule import DropGrow
from secateur.structure import NM, Blocks, Filters, Heads, Kernels


def test_golden_fractions():
    """f_t = 0.3/2·(1 + cos(π·t/750)): cos of 0, 60, 90 and 120 degrees is 1, ½, 0 and −½."""
    schedule = DropGrow(end=750, every=125, fraction=0.3)
    assert [schedule.fraction_at(t) for t in (0, 250, 375, 500)] == pytest.approx([0.3, 0.225, 0.15, 0.075], abs=1e-12)
    later = DropGrow(begin=100, end=850, every=125, fraction=0.3)
    assert [later.fraction_at(100 + t) for t in (0, 250, 375, 500)] == pytest.approx([0.3, 0.225, 0.15, 0.075], abs=1e-12)
    assert {DropGrow(decay="constant", fraction=0.2).fraction_at(t) for t in (100, 500, 900)} == {0.2}


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 200), st.floats(0, 0.99), st.sampled_from(["cosine", "constant"]))
def test_exchanges_lie_evenly_before_the_end(begin, every, more, sparsity, decay):
    end = begin + every + more
    schedule = DropGrow(sparsity=sparsity, begin=begin, end=end, every=every, decay=decay)
    events = [t for t in range(end + 50) if schedule.at_step(t) is not None]
    assert events == list(range(begin, end, every))
    assert events[-1] == schedule.last_step
    assert {schedule.at_step(t) for t in events} == {sparsity} == {schedule.final}
    shares = [schedule.fraction_at(t) for t in events]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] <= shares[0] == schedule.fraction


def test_it_moves_to_another_sparsity():
    assert DropGrow(seed=3, end=300).at(0.98) == DropGrow(sparsity=0.98, seed=3, end=300)


def test_training_cost():
    """f_S = f_D/10 and Δt = 100: (3·0.1·100 + 2·0.1 + 1) / 101 / 3 = 31.2 / 303; random growth has no dense gradient."""
    assert DropGrow(every=100).training_cost(0.1) == pytest.approx(31.2 / 303, abs=1e-12)
    assert DropGrow(every=1, end=10).training_cost(0.0) == pytest.approx(1 / 6, abs=1e-12)
    assert DropGrow(every=7).training_cost(1.0) == pytest.approx(1.0, abs=1e-12), "a dense network trains as a dense one"
    assert DropGrow(grow="random").training_cost(0.1) == 0.1
    assert math.isclose(DropGrow(every=900).training_cost(0.1), 0.1, rel_tol=0.01)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: DropGrow(begin=10, every=90, end=100),
            "schedule 'drop_grow' needs begin + every < end, so that there is an exchange; got begin=10, every=90, end=100",
        ),
        (lambda: DropGrow(fraction=0), "schedule 'drop_grow': fraction must be > 0 and ≤ 1; got 0"),
        (lambda: DropGrow(grow="momentum"), "schedule 'drop_grow': grow must be one of gradient, random; got 'momentum'"),
    ],
)
def test_bad_parameters(make, sentence):
    with pytest.raises(RecipeError) as e:
        make()
    assert str(e.value) == sentence


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"structure": Filters()}, "it exchanges units within one layer, and these take parameters of others along"),
        ({"structure": Heads()}, "it exchanges units within one layer, and these take parameters of others along"),
        ({"structure": NM()}, "it exchanges any units of a layer, and these are bound to groups"),
        ({"recovery": Finetune(drop_dead=True)}, "what it drops may come back, and drop_dead removes neurons for good"),
        ({"recovery": Rewind()}, "it starts training over after each pruning, and this schedule prunes while training"),
    ],
    ids=lambda x: repr(x)[:30],
)
def test_what_it_does_not_go_with(part, sentence):
    with pytest.raises(RecipeError, match=sentence):
        Recipe(schedule=DropGrow(), **part)


@pytest.mark.parametrize("structure", [Blocks(), Kernels()], ids=repr)
def test_what_it_goes_with(structure):
    assert Recipe(schedule=DropGrow(), structure=structure).structure == structure
