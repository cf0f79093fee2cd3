"""Pruned weights are exactly zero after every step, whatever the optimizer keeps of their past."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import Pruner, Recipe
from secateur.allocation import Uniform
from secateur.schedule import Cubic, OneShot
from secateur.structure import NM, Filters, Weights
from secateur.testing import small_batches, small_model

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd-foreach": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=True),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adam-foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
}
LOSS = nn.CrossEntropyLoss()


def check_zero(model, pruner):
    for name, mask in pruner.masks.items():
        assert not bool(model.get_parameter(name)[~mask].any()), name


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("structure", [Weights(), NM(), Filters()], ids=repr)
@pytest.mark.parametrize("way", ["step", "attach"])
def test_no_drift(kind, structure, way):
    model = small_model()
    optimizer = OPTIMIZERS[kind](model.parameters())
    ramp = Cubic(sparsity=0.5, begin=1, end=5, every=2)
    pruner = Pruner(model, Recipe(structure=structure, allocation=Uniform(), schedule=ramp))
    if way == "attach":
        pruner.attach(optimizer)
    for t, (x, y) in enumerate(small_batches(8)):
        optimizer.zero_grad(set_to_none=bool(t % 2))
        LOSS(model(x), y).backward()
        optimizer.step()
        if way == "step":
            pruner.step()
        check_zero(model, pruner)
    assert pruner.t == 8
    for name, target in pruner.targets.items():
        mask, units = pruner.masks[name], structure.count(target.shape)
        assert int((~mask).sum()) == units // 2 * (mask.numel() // units)
        assert int((model.get_parameter(name) == 0).sum()) == int((~mask).sum()), "survivors went to zero"


def test_no_drift_under_gradient_accumulation():
    model = small_model()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.7, at_training_step=1)))
    for i, (x, y) in enumerate(small_batches(9)):
        (LOSS(model(x), y) / 3).backward()
        if i % 3 == 2:
            optimizer.step()
            pruner.step()
            optimizer.zero_grad()
        check_zero(model, pruner)
    assert (pruner.t, pruner.events) == (3, 1)
    assert pruner.sparsity == pytest.approx(0.7, abs=1e-3)


def test_dead_filters_stay_dead_with_bias_and_batch_norm():
    model = small_model()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    pruner = Pruner(model, Recipe(structure=Filters(), allocation=Uniform()), optimizer=optimizer).prune(0.5)
    for x, y in small_batches(4):
        optimizer.zero_grad()
        LOSS(model(x), y).backward()
        optimizer.step()
        pruner.step()
    assert set(pruner.masks) == {
        "0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "8.weight", "8.bias"
    }  # fmt: skip
    check_zero(model, pruner)
    assert not bool(model[:2](torch.randn(2, 4, 8, 8))[:, ~pruner.masks["1.bias"]].any())
