"""How the weights of a unit make its score, and how widths are rounded; numbers by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe, RecipeError, prune_
from secateur.core.coupling import Coupling
from secateur.schedule import OneShot
from secateur.structure import Filters, Heads, Inputs, Neurons
from secateur.structure.base import pool

W = torch.tensor([[3.0, -4.0, 0.0], [1.0, 2.0, 2.0]])


@pytest.mark.parametrize(
    ("reduce", "wanted"),
    [("mean", [-1 / 3, 5 / 3]), ("sum", [-1, 5]), ("max", [3, 2]), ("l2", [5, 3]), ("abs_sum", [1, 5])],
)
def test_pools(reduce, wanted):
    torch.testing.assert_close(pool(W, reduce), torch.tensor(wanted, dtype=torch.float32))
    padded = torch.cat([W, torch.tensor([[9.0], [7.0]])], 1)
    there = torch.tensor([True, True, True, False]).expand_as(padded)
    torch.testing.assert_close(pool(padded, reduce, there), torch.tensor(wanted, dtype=torch.float32))


def test_members_are_put_together():
    one, other = torch.tensor([1.0, 4.0]), torch.tensor([3.0, 2.0])
    assert {a: Filters(across=a).combine([one, other]).tolist() for a in ("mean", "sum", "max")} == {
        "mean": [2.0, 3.0], "sum": [4.0, 6.0], "max": [3.0, 4.0],
    }  # fmt: skip


def test_scales_are_those_of_what_is_left():
    scores, alive = torch.tensor([3.0, 100.0, 4.0]), torch.tensor([True, False, True])
    found = {n: Heads(normalize=n).scaled(scores, alive)[alive].tolist() for n in ("none", "mean", "max", "l2")}
    wanted = {"none": [3, 4], "mean": [6 / 7, 8 / 7], "max": [0.75, 1], "l2": [0.6, 0.8]}
    assert found == {n: pytest.approx(v) for n, v in wanted.items()}
    assert Heads(normalize="l2").scaled(torch.zeros(3), alive).tolist() == [0, 0, 0]


@given(st.integers(1, 300), st.integers(1, 16), st.integers(0, 300))
def test_a_rounded_width_is_the_nearest_that_is_allowed(alive, to, kept):
    kept = min(kept, alive)
    allowed = [n for n in range(1, alive) if n % to == 0] + [alive]
    found = Filters(round_to=to).rounded(kept, alive)
    assert found in allowed
    assert abs(found - kept) == min(abs(n - kept) for n in allowed)
    assert Filters(round_to=to).least(alive) <= found


def test_columns():
    """Means over rows: 1.5, 0.5, 2; a third, one of three, goes: the second, and no bias with it."""
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0, 4.0], [2.0, 1.0, 0.0]]))
        layer.bias.fill_(1)
    prune_(layer, Recipe(structure=Inputs(), schedule=OneShot(sparsity=1 / 3)))
    assert (layer.weight != 0).int().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert layer.bias.tolist() == [1, 1]


def test_neurons_are_of_linear_layers():
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 2))
    pruner = Pruner(model, Recipe(structure=Neurons()))
    assert list(pruner.targets) == ["2.weight"]
    assert pruner.dense["0.weight"] == "its outputs are channels: use Filters()"


@pytest.mark.parametrize("structure", [Filters(), Neurons(), Heads(), Inputs()], ids=repr)
def test_who_takes_which_group(structure):
    kinds = {
        "channels": Coupling("g", 8, frozenset({"kernel"})),
        "mixed": Coupling("g", 8, frozenset({"kernel", "linear"})),
        "neurons": Coupling("g", 8, frozenset({"linear"})),
        "heads": Coupling("g", 8, frozenset({"linear"}), heads=True),
    }
    taken = {k for k, g in kinds.items() if structure.misfit_group(g) is None}
    wanted = {
        "filters": {"channels", "mixed", "neurons"}, "inputs": {"channels", "mixed", "neurons"}, "neurons": {"neurons"},
        "heads": {"heads"},
    }  # fmt: skip
    assert taken == wanted[structure.name]


def test_new_parameters_rename_no_old_recipe():
    assert Recipe(structure=Filters()).to_dict(minimal=True) == {"structure": {"name": "filters"}}
    assert Recipe(structure=Filters()).id == "5582be524070"
    assert Recipe(structure=Filters(round_to=8)).id != "5582be524070"
    with pytest.raises(RecipeError, match="structure 'filters': members must be one of producers, consumers, scales, all"):
        Filters(members="both")
    with pytest.raises(RecipeError, match="structure 'heads': round_to must be ≥ 1; got 0"):
        Heads(round_to=0)
