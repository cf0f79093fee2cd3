"""The group norm of Fang et al. 2023 by hand, and on a real network."""

from __future__ import annotations

import torch
from torch import nn

from secateur import Macs, Pruner, prune_, shrink_
from secateur.evaluate.macs import count_macs
from secateur.methods import depgraph
from secateur.training.models import build_model


def test_the_norm_of_a_group_by_hand():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 3, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        model[2].weight.copy_(torch.tensor([[2.0, 0.0], [1.0, 4.0], [2.0, 3.0]]))
    pruner = Pruner(model, depgraph(), example_inputs=torch.zeros(1, 2))
    units = pruner._units
    # unit 0: rows ‖(3, 4)‖ = 5, columns ‖(2, 1, 2)‖ = 3, mean 4; unit 1: 1 and ‖(0, 4, 3)‖ = 5, mean 3
    assert units.pool("0", 0, {}).tolist() == [4.0, 3.0]
    # over their mean, 3.5
    torch.testing.assert_close(
        units.structure.scaled(torch.tensor([4.0, 3.0]), torch.tensor([True, True])), torch.tensor([8.0, 6.0]) / 7
    )
    assert pruner.prune(0.5).plan == {"0": [1]}


def test_a_residual_network_at_half_its_multiply_adds():
    torch.manual_seed(0)
    model = build_model("resnet_20").eval()
    x = torch.randn(2, 3, 32, 32)
    dense = count_macs(model, x).total
    pruner = prune_(model, depgraph(), example_inputs=x, target=Macs(0.5))
    assert shrink_(model, x, pruner.plan).kept == {}
    assert 0.48 < count_macs(model, x).total / dense <= 0.5
