"""The table of what can be reached is what pruning and cutting then give."""

from __future__ import annotations

import json

import pytest
import torch
from coupled_nets import IMAGES, Net

from secateur import ModelError, Recipe, prune_, reach, shrink_
from secateur.allocation import Uniform
from secateur.evaluate.macs import count_macs
from secateur.graph.analysis import analyse
from secateur.recovery import Finetune
from secateur.schedule import OneShot
from secateur.structure import NM, Filters, Heads
from secateur.testing import small_batches, small_model


def test_each_row_comes_true():
    recipe = Recipe(structure=Filters(), allocation=Uniform())
    model = Net(bias=True)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    found = reach(model, IMAGES, recipe)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert [r.sparsity for r in found.rows] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    for row in (found.rows[1], found.rows[4]):
        model = Net(bias=True).eval()
        pruner = prune_(
            model,
            Recipe(structure=Filters(), allocation=Uniform(), schedule=OneShot(sparsity=row.sparsity)),
            example_inputs=IMAGES,
        )
        shrink_(model, IMAGES, pruner.plan)
        assert row.params == sum(p.numel() for p in model.parameters())
        assert row.macs == count_macs(model, IMAGES).total
        assert row.bytes == sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    widths = {"stem": 6, "up": 8, "hidden": 10}
    left = analyse(Net(bias=True), IMAGES).params({n: range(1, w) for n, w in widths.items()})
    assert found.rows[-1].params == left, "one unit of each is left"


def test_it_only_goes_down_and_starts_dense():
    found = reach(Net(), IMAGES, Recipe(structure=Filters()))
    rows = [found.dense, *found.rows]
    for name in ("params", "macs", "bytes"):
        amounts = [getattr(r, name) for r in rows]
        assert amounts == sorted(amounts, reverse=True)
    assert found.dense.params == sum(p.numel() for p in Net().parameters())
    assert found.dense.macs == count_macs(Net(), IMAGES).total


def test_structures_that_set_to_zero_have_a_table_too():
    recipe = Recipe(structure=NM(), recovery=Finetune(recalibrate=100))
    found = reach(small_model(), small_batches(1)[0][0], recipe, sparsities=(0.5,))
    assert [r.sparsity for r in found.rows] == [0.25, 0.5], "of the half that can go"
    assert found.rows[-1].params == 1_836 - 1_696 / 2
    assert found.fractions(found.rows[-1])["macs"] == pytest.approx(0.5, abs=0.01)


def test_what_it_shows():
    found = reach(Net(), IMAGES, Recipe(structure=Filters()), sparsities=(0.5,), latency=True)
    text = str(found)
    assert "what can be reached" in text
    assert [line.split()[0] for line in text.splitlines() if line.strip()[:1].isalnum()][-3:] == ["dense", "50%", "most"]
    assert f"{found.dense.macs:,.0f}" in text
    form = json.loads(json.dumps(found.to_dict()))
    assert form["rows"][0]["fraction"].keys() == {"params", "macs", "bytes", "latency"}
    assert form["dense"]["latency"] > 0


def test_what_cannot_be_pruned_is_told():
    with pytest.raises(ModelError, match="structure 'heads' fits no coupled group of this model"):
        reach(Net(), IMAGES, Recipe(structure=Heads()))
