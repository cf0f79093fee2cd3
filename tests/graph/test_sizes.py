from __future__ import annotations

import copy
import functools
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.graph.sizes import Axis, Notes, Size, Slot, axes, evaluate, leaves, plain, show, slots

A, B = Slot("block", ("heads",)), Slot("", ("config", "sizes", 1))


def sized(value: int, slot: Slot = A, notes: Notes | None = None) -> Size:
    return Size(value, slot, notes or Notes())


OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: 3 * a + b,
    lambda a, b: 7 - a,
    lambda a, b: 100 // a % b,
    lambda a, b: -a + +b,
    lambda a, b: a**2 - 2 ** (b % 5),
    lambda a, b: divmod(a, b)[0] - divmod(a, b)[1],
    lambda a, b: sum([a, b, a]),
    lambda a, b: math.prod((a, b)),
    lambda a, b: functools.reduce(lambda x, y: x * y, (a, b)),
    lambda a, b: round(a) - b,
    lambda a, b: max(a, b),
    lambda a, b: int(True) * a,
]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.integers(1, 50), st.sampled_from(range(len(OPERATIONS))))
def test_an_expression_gives_the_value_for_these_and_for_other_sizes(a: int, b: int, c: int, d: int, k: int) -> None:
    operation, notes = OPERATIONS[k], Notes()
    result = operation(sized(a, A, notes), sized(b, B, notes))
    assert type(result) is Size
    assert int(result) == operation(a, b)
    assert evaluate(result.expression, {A: a, B: b}) == operation(a, b)
    if k != OPERATIONS.index(OPERATIONS[15]):  # a maximum is one of its arguments from then on
        assert evaluate(result.expression, {A: c, B: d}) == operation(c, d)
    assert not notes.numbers


def test_a_size_is_an_integer() -> None:
    size = sized(6)
    assert size == 6
    assert hash(size) == hash(6)
    assert {6: "six"}[size] == "six"
    assert list(range(size)) == [0, 1, 2, 3, 4, 5]
    assert [1] * size == [1] * 6
    assert "abcdefg"[size] == "g"
    assert f"{size:03d} {size}" == "006 6"
    assert isinstance(size, int)
    assert size > 5
    assert size != 7
    assert (size == "6") is False


def test_copies_and_pickles_are_plain() -> None:
    for twin in (copy.copy(sized(6)), copy.deepcopy([sized(6)])[0], pickle.loads(pickle.dumps(sized(6))), int(sized(6))):
        assert type(twin) is int
        assert twin == 6


COMPUTED = [math.sqrt, float, lambda s: s**-0.5, lambda s: s / 2, lambda s: 2 / s, lambda s: s * 1.5, lambda s: s**0.5]


@pytest.mark.parametrize("compute", COMPUTED)
def test_what_is_computed_with_is_noted_with_its_place(compute: object) -> None:
    notes = Notes()
    value = compute(sized(6, A, notes) * sized(2, B, notes))  # type: ignore[operator]
    assert type(value) is float
    assert value == compute(12)  # type: ignore[operator]
    assert notes.numbers.keys() == {A, B}
    assert all(place.startswith("test_sizes.py:") for place in notes.numbers.values())


def test_equal_sizes_are_noted() -> None:
    notes = Notes()
    a, b = sized(6, A, notes), sized(6, B, notes)
    assert a == b
    assert a == 6
    assert not a == 7  # noqa: SIM201
    assert not a != b  # noqa: SIM202
    assert notes.equal == [(A, B), (A, 6), (A, B)]


def test_plain_takes_sizes_out_of_anything_a_call_is_given() -> None:
    from collections import namedtuple

    pair = namedtuple("pair", "a b")
    for given_, wanted in [
        (sized(3), 3),
        ((sized(3), 2), (3, 2)),
        (slice(sized(3), None, sized(2)), slice(3, None, 2)),
        (pair(sized(3), 1), pair(3, 1)),
        ("x", "x"),
    ]:
        found = plain(given_)
        assert found == wanted
        assert type(found) is type(wanted)
        assert not any(isinstance(x, Size) for x in (found if isinstance(found, tuple) else [found]))


def test_what_an_expression_holds() -> None:
    axis = Axis((3, 0), 2, 16)
    e = ("mul", ("floordiv", axis, A), ("sub", B, 1))
    assert leaves(e) == {axis, A, B}
    assert slots(e) == {A, B}
    assert axes(e) == {axis}
    assert slots(5) == leaves(5) == set()


def test_expressions_read_as_one_would_write_them() -> None:
    e = ("mul", ("floordiv", Axis((3, 0), 2, 16), A), ("pow", B, 2))
    assert show(e) == "((shape[2] // block.heads) * (config.sizes.1 ** 2))"
    minus = -sized(4)
    assert show(minus.expression) == "(0 - block.heads)"
    assert show((-minus).expression) == "block.heads"
    assert str(Slot("", ("width",))) == "width"
