"""The networks of Li et al. 2016: multiply-adds and parameters after surgery are the published ones, to the unit.

Golden numbers: recomputed from the paper's per-layer table, batch norm counted, biases of convolutions in VGG alone.
"""

from __future__ import annotations

import copy

import pytest
import torch

import secateur as sc
from secateur.core.errors import RecipeError
from secateur.evaluate.macs import count_macs
from secateur.graph.analysis import analyse
from secateur.graph.groups import find_groups
from secateur.methods import li_2016
from secateur.methods.li_2016 import NETWORKS, layers_of
from secateur.training.models import build_model

EXACT = {
    "resnet_56_a": ("resnet_56", 112_435_840, 773_336),
    "resnet_56_b": ("resnet_56", 90_907_264, 735_712),
    "resnet_110_a": ("resnet_110", 212_779_648, 1_688_522),
    "resnet_110_b": ("resnet_110", 155_124_352, 1_168_424),
    "vgg_16_a": ("vgg_16_bn", 206_279_680, 5_399_690),
}
# the paper prints three digits, of a network whose shortcuts have no weights: what is saved is the same
SAVED = {"resnet_34_a": (0.56e9, 1.7e6), "resnet_34_b": (0.88e9, 2.3e6)}
SLOW = ("resnet_56_a", "resnet_56_b", "resnet_110_a", "resnet_110_b")
QUICK = [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in EXACT]


def removed_by_hand(model, network):
    """Group name → the filters of least L1 norm: ⌊n·(1 − p)⌋ stay, which the table's fractions make a whole number."""
    plan = {}
    for pattern, fraction in layers_of(network):
        weight = model.get_submodule(pattern.removesuffix("*")).weight.detach()
        count = fraction * len(weight)
        assert count == int(count), pattern
        plan[pattern.removesuffix("*")] = weight.abs().flatten(1).sum(1).argsort()[: int(count)].sort().values.tolist()
    return plan


def test_every_network_of_the_table_is_checked_here():
    assert {*EXACT, *SAVED} == set(NETWORKS)


@pytest.mark.parametrize("network", EXACT)
def test_the_table_gives_the_published_numbers(network):
    """Without surgery: what the plan would leave, on the traced graph, and on no weights."""
    name, macs, parameters = EXACT[network]
    with torch.device("meta"):
        model = build_model(name).eval()
    analysis = analyse(model, torch.zeros(2, 3, 32, 32, device="meta"))
    plan = {p.removesuffix("*"): range(int(s * model.get_submodule(p[:-1]).weight.shape[0])) for p, s in layers_of(network)}
    assert set(plan) <= {g.name for g in analysis.groups.prunable}
    assert analysis.macs(plan) == macs
    assert analysis.params(plan) == parameters


@pytest.mark.parametrize("network", SAVED)
def test_resnet_34_saves_what_the_paper_prints(network):
    with torch.device("meta"):
        model = build_model("resnet_34").eval()
    analysis = analyse(model, torch.zeros(2, 3, 224, 224, device="meta"))
    plan = {p.removesuffix("*"): range(round(s * model.get_submodule(p[:-1]).weight.shape[0])) for p, s in layers_of(network)}
    macs, parameters = SAVED[network]
    assert analysis.macs({}) - analysis.macs(plan) == pytest.approx(macs, abs=0.006e9)
    assert analysis.params({}) - analysis.params(plan) == pytest.approx(parameters, abs=0.06e6)


@pytest.mark.parametrize("network", QUICK)
def test_surgery_gives_the_published_numbers(network):
    name, macs, parameters = EXACT[network]
    model, x = build_model(name).eval(), torch.randn(2, 3, 32, 32)
    for module in model.modules():
        if hasattr(module, "running_var"):
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.running_mean)
    groups = find_groups(model, x)
    plan = removed_by_hand(model, network)
    assert all(groups[g].prunable and len(units) < groups[g].units for g, units in plan.items())

    masked = copy.deepcopy(model)
    pruner = sc.Pruner(masked, li_2016(network=network), example_inputs=x).prune()
    assert pruner.plan == plan, "the recipe removes the filters of least L1 norm, and as many as the paper"

    sc.shrink_(model, x, plan=plan)
    assert count_macs(model, x).total == macs
    assert sum(p.numel() for p in model.parameters()) == parameters
    other = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(other), masked(other), rtol=1e-4, atol=1e-5)


def test_what_the_paper_spares():
    """Layers 16, 20, 38 and 54 of ResNet-56 are the first convolutions of blocks 7 (stage 1), 0 (stage 2), 0 and 8 (stage 3)."""
    spared = {f"layer{s}.{b}.conv1*" for s in (1, 2, 3) for b in range(9)} - {p for p, _ in layers_of("resnet_56_a")}
    assert spared == {"layer1.7.conv1*", "layer2.0.conv1*", "layer3.0.conv1*", "layer3.8.conv1*"}
    assert dict(layers_of("resnet_56_a"))["layer3.1.conv1*"] == 7 / 64, "⌊64 · 0.9⌋ = 57 stay"
    assert dict(layers_of("resnet_110_b"))["layer2.1.conv1*"] == 13 / 32, "⌊32 · 0.6⌋ = 19 stay"


def test_the_tables_serve_both_kinds_of_pruner():
    """Parameters have other names than groups; the patterns fit both, and nothing else."""
    model = build_model("resnet_20")
    table = (("layer1.0.conv1*", 0.5), ("layer3.2.conv1*", 0.25))
    alone = sc.Pruner(model, li_2016(layers=table)).prune()
    assert {n: int((~m).flatten(1).all(1).sum()) for n, m in alone.masks.items() if m.ndim == 4 and not bool(m.all())} == {
        "layer1.0.conv1.weight": 8,
        "layer3.2.conv1.weight": 16,
    }
    together = sc.Pruner(build_model("resnet_20"), li_2016(layers=table), example_inputs=torch.zeros(2, 3, 32, 32)).prune()
    assert {g: len(u) for g, u in together.plan.items()} == {"layer1.0.conv1": 8, "layer3.2.conv1": 16}


def test_wrong_tables():
    with pytest.raises(RecipeError, match="unknown network 'resnet_56'; did you mean 'resnet_56_b'"):
        li_2016(network="resnet_56")
    with pytest.raises(RecipeError, match="takes layers or network, not both"):
        li_2016(network="resnet_56_a", layers=(("conv*", 0.5),))
