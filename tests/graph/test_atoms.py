from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.graph.atoms import Atoms, compact
from secateur.graph.views import merge, reshape, split


def sets(atoms: Atoms, cells: np.ndarray) -> list[set[int]]:
    return [set(row[row > 0].tolist()) for row in atoms.resolve(cells)]


def test_cells_of_a_union_are_one() -> None:
    atoms = Atoms()
    a, b, c = atoms.fresh(3), atoms.fresh(3), atoms.fresh(3)
    assert atoms.unify(a, b)
    assert atoms.unify(c, b[::-1].copy())
    assert atoms.find(a).tolist() == atoms.find(b).tolist() == atoms.find(c)[::-1].tolist()
    assert not atoms.unify(a, b)


def test_many_cells_united_in_one_call() -> None:
    atoms = Atoms()
    a = atoms.fresh(2000)
    atoms.unify(a[:-1], a[1:])
    assert len(np.unique(atoms.find(a))) == 1


def test_a_pin_reaches_all_of_a_class_and_keeps_its_reason() -> None:
    atoms = Atoms()
    a, b, c = atoms.fresh(2), atoms.fresh(2), atoms.fresh(2)
    atoms.unify(b, c)
    atoms.pin(a[:1], 7)
    atoms.unify(a, b)
    assert atoms.reasons(c).tolist() == [7, 0]
    assert sets(atoms, c) == [set(), {int(atoms.find(a)[1])}]


def test_a_split_dimension_is_a_product() -> None:
    atoms = Atoms()
    whole = atoms.fresh(6)
    heads, width = split(atoms, whole, [2, 3])
    assert sets(atoms, whole) == [{int(heads[i]), int(width[j])} for i in range(2) for j in range(3)]


def test_a_product_seen_again_is_recognised() -> None:
    atoms = Atoms()
    whole = atoms.fresh(24)
    first, rest = split(atoms, whole, [3, 8])
    again = split(atoms, whole, [3, 2, 4])
    heads, width = split(atoms, rest, [2, 4])
    assert sets(atoms, again[0]) == sets(atoms, first)
    assert sets(atoms, again[1]) == sets(atoms, heads)
    assert sets(atoms, again[2]) == sets(atoms, width)


def test_a_pinned_factor_leaves_the_other_free() -> None:
    atoms = Atoms()
    whole = atoms.fresh(6)
    heads, width = split(atoms, whole, [2, 3])
    atoms.pin(width, 4)
    assert sets(atoms, whole) == [{int(h)} for h in heads for _ in range(3)]
    assert atoms.reasons(width).tolist() == [4, 4, 4]


def test_what_cannot_be_told_apart_stays() -> None:
    """An index that is a head on one side, and a head and a place on the other: the place has to stay."""
    atoms = Atoms()
    whole = atoms.fresh(6)
    heads, width = split(atoms, whole, [2, 3])
    atoms.unify(whole, np.repeat(heads, 3), unsolvable=9)
    assert sets(atoms, whole) == [{int(h)} for h in heads for _ in range(3)]
    assert atoms.reasons(width).tolist() == [9, 9, 9]


@pytest.mark.parametrize("sizes", [(4, 8), (8, 4), (2, 16)])
def test_two_factorisations_that_do_not_fit_are_still_consistent(sizes: tuple[int, int]) -> None:
    atoms = Atoms()
    whole = atoms.fresh(32)
    split(atoms, whole, [4, 8])
    parts = split(atoms, whole, list(sizes))
    joined = merge(atoms, parts, sizes)
    assert sets(atoms, joined) == sets(atoms, whole)


def test_equal_numbers_are_matched_when_products_meet() -> None:
    atoms = Atoms()
    a, b = atoms.fresh(6), atoms.fresh(6)
    heads, width = split(atoms, a, [2, 3])
    more, wide = split(atoms, b, [2, 3])
    atoms.unify(a, b)
    assert atoms.find(heads).tolist() == atoms.find(more).tolist()
    assert atoms.find(width).tolist() == atoms.find(wide).tolist()


def test_compact_keeps_each_value_once() -> None:
    assert compact(np.array([[0, 2, 2], [1, 0, 1]])).tolist() == [[2], [1]]


@given(st.data())
def test_what_was_made_equal_stays_equal(data: st.DataObject) -> None:
    """Whatever comes later, the two sides of every unification disappear together."""
    atoms = Atoms()
    known = [atoms.fresh(12) for _ in range(4)]
    made: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(data.draw(st.integers(1, 8))):
        a = data.draw(st.sampled_from(known))
        match data.draw(st.sampled_from(["unify", "split", "pin", "shift"])):
            case "unify":
                b = data.draw(st.sampled_from(known))
                atoms.unify(a, b)
                made.append((a, b))
            case "split":
                p, q = data.draw(st.sampled_from([(3, 4), (4, 3), (2, 6), (6, 2)]))
                parts = split(atoms, a, [p, q])
                whole = merge(atoms, parts, [p, q])
                if not isinstance(whole, int):
                    made.append((a, whole))
                    known.append(whole)
            case "pin":
                atoms.pin(a[:1], 3)
            case "shift":
                known.append(np.roll(a, 4))
        for x, y in made:
            assert sets(atoms, x) == sets(atoms, y)


@given(st.permutations([2, 3, 4]), st.sampled_from([[24], [4, 6], [6, 4], [2, 12], [3, 8], [2, 2, 6], [24, 1]]), st.booleans())
def test_a_reshape_moves_no_element(before: list[int], after: list[int], fixed: bool) -> None:
    """An element disappears with the same atoms, whatever the shape it is seen in."""
    atoms = Atoms()
    dims = [atoms.fresh(n) for n in before]
    dims[1] = 5 if fixed else dims[1]
    out = reshape(atoms, list(dims), before, after)

    def elements(labels: list, sizes: list[int]) -> list[set[int]]:
        whole = merge(atoms, list(labels), sizes)
        return [set()] * 24 if isinstance(whole, int) else sets(atoms, whole)

    assert elements(out, after) == elements(dims, before)
