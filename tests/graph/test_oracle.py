"""Zeroing a unit is cutting it: every family of couplings, tried out on numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import pytest
import torch
from torch import nn

from secateur.graph.check import Oracle
from secateur.graph.groups import Groups, find_groups
from secateur.training.models import GPT, VGG16BN, LeNet5, MobileNetV1, ResNet


def gpt(tied: bool) -> nn.Module:
    model = GPT(vocab_size=15, block_size=8, n_layer=2, n_head=2, n_embd=8)
    if tied:
        model.head.weight = model.token.weight
    return model


# what is built, on what, and how many of its groups can be pruned
MODELS: dict[str, tuple[Callable[[], nn.Module], Any, int]] = {
    "mlp": (nets.mlp, torch.randn(3, 7), 2),
    "lenet-5": (lambda: LeNet5(), torch.randn(2, 1, 28, 28), 3),
    "vgg": (lambda: VGG16BN(width=0.0625), nets.images(32), 14),
    "resnet-20": (lambda: ResNet(20, width=0.25), nets.images(16), 12),
    "bottlenecks": (lambda: nets.ResNet((1, 2), 4, 5), nets.images(32), 9),
    "resnext": (lambda: nets.ResNet((1, 1), 8, 5, groups=4), nets.images(32), 9),
    "mobilenet": (lambda: MobileNetV1(10, width=0.125), nets.images(32), 14),
    "densenet": (nets.Dense, nets.images(6), 4),
    "shufflenet": (nets.Shuffle, nets.images(6), 4),
    "inception": (nets.Inception, nets.images(6), 5),
    "squeeze-excite": (nets.SqueezeExcite, nets.images(6), 3),
    "u-net": (nets.UNet, nets.images(8, 1), 4),
    "convnext": (nets.ConvNeXt, nets.images(8), 2),
    "vit": (nets.ViT, nets.images(8), 4),
    "gqa": (nets.GQA, nets.tokens(), 6),
    "multihead-attention": (nets.Attention, torch.randn(2, 4, 5), 4),
    "res2net": (nets.Res2, nets.images(6), 3),
    "grouped": (nets.grouped, nets.images(6), 6),
    "odd": (nets.Odd, nets.images(6), 5),
    "tied": (nets.Tied, nets.tokens(), 3),
    "gpt": (lambda: gpt(False), nets.tokens(), 7),
    "gpt-tied": (lambda: gpt(True), nets.tokens(), 7),
}


def verify(model: nn.Module, x: Any, groups: Groups, units: int = 2) -> None:
    """A few units of every group: cut off from the output by zeros, alone, and not for nothing."""
    oracle = Oracle(model, x)
    for group in groups.prunable:
        tried = sorted({0, group.units // 2, group.units - 1})
        trials = [oracle.zero_equals_cut(group, u) for u in tried[:units]]
        for unit, trial in zip(tried, trials, strict=False):
            assert trial.error < 1e-12, (group, unit, trial)
            assert group.leaks or trial.alone < 1e-12, (group, unit, trial)
            assert not trial.missed, (group, unit, trial)
        if all(m.role == "consumer" for m in group.members):
            continue  # it reads zeros that padding made
        # a unit may be dead by a ReLU; then others are tried
        spare = (oracle.zero_equals_cut(group, u).sensitivity for u in range(group.units))
        assert any(t.sensitivity > 1e-6 for t in trials) or any(s > 1e-6 for s in spare), group


@pytest.mark.parametrize("name", MODELS)
def test_zero_equals_cut(name: str) -> None:
    make, x, prunable = MODELS[name]
    model = nets.built(make, x)
    groups = find_groups(model, x, as_graph=True)
    assert not groups.unknown
    verify(model, x, groups)
    assert len(groups.prunable) == prunable, [str(g) for g in groups]


def test_the_oracle_sees_a_wrong_group() -> None:
    """The check can fail: members that do not belong together, and a member left out."""
    import dataclasses as dc

    model = nets.built(nets.mlp, None)
    x = torch.randn(4, 7)
    first, second = find_groups(model, x).prunable
    wrong = dc.replace(first, members=(first.members[0], second.members[-1]))
    assert Oracle(model, x).zero_equals_cut(wrong, 0).error > 1e-3
    short = dc.replace(first, members=first.members[:-1])
    assert ("2.weight", 1, 0) in Oracle(model, x).zero_equals_cut(short, 0).missed
