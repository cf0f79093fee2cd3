from __future__ import annotations

import pytest

from secateur import Bytes, Compression, Latency, Macs, ModelError, Params, RecipeError, Sparsity
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


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("kind", [Macs, Params, Bytes])
def test_up_to_one_is_a_fraction_and_above_it_an_amount(kind):
    assert kind(0.25).limit(dense=400) == 100
    assert kind(1).limit(dense=400) == 400
    assert kind(1.5).limit(dense=400) == 1.5
    assert kind(0.5).to_dict() == {"name": kind.__name__, "amount": 0.5}


def test_milliseconds_are_never_a_fraction():
    assert Latency(0.5).limit(dense=400) == 0.5
    assert Latency(3, device="cuda:0").to_dict() == {"name": "Latency", "amount": 3.0, "device": "cuda:0"}
    with pytest.raises(RecipeError, match="Latency: the device must be a text; got 3"):
        Latency(1.0, device=3)


@pytest.mark.parametrize("wrong", [0, -1, -0.5])
@pytest.mark.parametrize(
    ("kind", "unit"), [(Macs, "multiply-adds"), (Params, "parameters"), (Bytes, "bytes"), (Latency, "milliseconds")]
)
def test_something_must_be_left(kind, unit, wrong):
    with pytest.raises(RecipeError, match=f"{kind.__name__}: the {unit} that may be left must be > 0; got {float(wrong)}"):
        kind(wrong)


def test_a_limit_follows_from_no_two_counts():
    with pytest.raises(TypeError, match="Macs is found by measuring"):
        Macs(0.5).sparsity(100, 80)


def test_a_compression_is_a_limit_on_parameters():
    assert Compression(8).limit(dense=800) == 100
