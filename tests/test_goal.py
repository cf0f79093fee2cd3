from __future__ import annotations

import pytest

from secateur import Compression, ModelError, RecipeError, Sparsity
from secateur.goal import Goal


def test_a_fraction_is_itself():
    assert Sparsity(0.9).sparsity(total=100, prunable=50) == 0.9


def test_a_ratio_counts_what_stays_dense():
    # 100 parameters, 80 prunable, 4×: 25 stay, 20 of them dense, so 5 of 80: d_P = 0.0625
    assert Compression(4).sparsity(total=100, prunable=80) == 0.9375
    assert Compression(1).sparsity(total=100, prunable=80) == 0


@pytest.mark.parametrize("ratio", [5, 6, 1e9])
def test_out_of_reach(ratio):
    with pytest.raises(ModelError, match="20 of 100 parameters stay dense, so at most 5× can"):
        Compression(ratio).sparsity(total=100, prunable=80)


@pytest.mark.parametrize(("kind", "wrong"), [(Compression, 0.99), (Sparsity, 1), (Sparsity, -0.1)])
def test_out_of_range(kind, wrong):
    with pytest.raises(RecipeError, match=f"must be ≥ .*; got {wrong}"):
        kind(wrong)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [Compression, Sparsity])
def test_not_finite(kind, wrong):
    with pytest.raises(RecipeError, match="must be a finite number"):
        kind(wrong)


@pytest.mark.parametrize("wrong", ["4", None, [4]])
@pytest.mark.parametrize("kind", [Compression, Sparsity])
def test_no_number(kind, wrong):
    with pytest.raises(RecipeError, match="must be a number"):
        kind(wrong)


def test_goals_are_values():
    assert Compression(4) == Compression(4.0)
    assert len({Sparsity(0.5), Sparsity(0.5)}) == 1


def test_an_unfinished_goal():
    with pytest.raises(TypeError, match=r"Goal must define sparsity\(total, prunable\)"):
        Goal().sparsity(1, 1)
