"""The published filter methods, each on single layers and on coupled ones: as much goes as was asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import secateur as sc
from secateur.methods import fpgm, li_2016, make, taylor_fo
from secateur.testing import small_batches, small_model

BATCHES = small_batches(1)
INPUTS = BATCHES[0][0][:2]


@pytest.mark.parametrize("name", ["li_2016", "fpgm"])
@pytest.mark.parametrize("coupled", [False, True])
def test_every_layer_loses_the_same_share_of_its_filters(name, coupled):
    model = small_model()
    pruner = sc.Pruner(model, make(name, sparsity=0.5), example_inputs=INPUTS if coupled else None).prune()
    gone = {n: int((model.get_submodule(n).weight.flatten(1).abs().sum(1) == 0).sum()) for n in ("0", "3", "8")}
    assert gone == {"0": 4, "3": 8, "8": 8}
    assert not bool(model[1](model[0](torch.randn(2, 4, 8, 8)))[:, model[1].weight == 0].any()), "through the batch norm too"
    if coupled:
        assert {n: len(u) for n, u in pruner.plan.items()} == gone


def test_li_removes_the_filters_of_least_l1_norm_whatever_their_l2_norm():
    """(3, 0) is longer than (2, 2) by L2 (9 > 8) and shorter by L1 (3 < 4)."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0], [2.0, 2.0]]))
    sc.prune_(model, li_2016(sparsity=0.5))
    assert model[0].weight.tolist() == [[0, 0], [2, 2]]


def test_layers_named_are_pruned_as_said_and_others_stay_whole():
    model = small_model()
    sc.prune_(model, li_2016(layers=(("3.*", 0.25),), sparsity=0.9))
    assert [int((m.weight.flatten(1).abs().sum(1) == 0).sum()) for m in (model[0], model[3], model[8])] == [0, 4, 0]


@pytest.mark.parametrize("build", [li_2016, fpgm])
def test_sensitive_layers_are_left_alone(build):
    model = small_model()
    pruner = sc.prune_(model, build(exclude=("0.*", "8.*")))
    assert list(pruner.targets) == ["3.weight"]


def test_the_scan_gives_li_its_table():
    from secateur.lab import Scan

    scan = Scan(dense=0.9, sparsities=(0.25, 0.5), figures={"0.weight": (0.6, 0.2), "3.weight": (0.9, 0.89)})
    recipe = li_2016(layers=scan.allocation(0.02).sparsity)
    assert recipe.allocation == scan.allocation(0.02)
    model = small_model()
    sc.prune_(model, recipe)
    assert [int((m.weight.flatten(1).abs().sum(1) == 0).sum()) for m in (model[0], model[3], model[8])] == [0, 8, 0]


def test_taylor_needs_what_reads_the_filters():
    with pytest.raises(sc.ModelError, match=r"with .*members='consumers' speaks of coupled groups"):
        sc.Pruner(small_model(), taylor_fo(), data=BATCHES)
    with pytest.raises(sc.DataError, match="score 'taylor' needs the gradient of each example"):
        sc.Pruner(small_model(), taylor_fo(), example_inputs=INPUTS).prune()
    pruner = sc.Pruner(small_model(), taylor_fo(sparsity=0.5), example_inputs=INPUTS, data=BATCHES).prune()
    assert pruner.sparsity == pytest.approx(0.5, abs=0.05)
