"""Lottery tickets, late rewinding, learning-rate rewinding and training from scratch as sentences."""

from __future__ import annotations

import pytest
import torch

from secateur import Pruner
from secateur.core.errors import RecipeError
from secateur.methods import late_rewinding, liu_2019, lottery_ticket, make, renda_2020
from secateur.recovery import Reinitialize, Rewind, RewindLearningRate
from secateur.training.models import build_model

LENET = 266_200
GOLDEN = {
    "late_rewinding": "6666111a8835",
    "liu_2019": "226c26f59dc6",
    "lottery_ticket": "1a0720606263",
    "renda_2020": "a385da816ca0",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_ids(name):
    assert make(name).id == GOLDEN[name]


def test_the_papers_sizes_of_tickets():
    """Frankle & Carbin's labels, 51.3, 21.1 and 3.6 % of LeNet-300-100: 20 % a round, the output layer at half that rate."""
    pruner = Pruner(build_model("lenet_300_100"), lottery_ticket(layers=(("fc3*", 0.1),)))
    assert pruner.prunable == LENET
    left, before = {}, {}
    for _ in pruner.rounds():
        left[pruner.round] = 100 * (1 - pruner.sparsity)
        for name, mask in pruner.masks.items():
            rate = 0.1 if name.startswith("fc3") else 0.2
            assert int(mask.sum()) == pytest.approx(mask.numel() * (1 - rate) ** pruner.round, abs=0.5001)
            assert not bool((mask & ~before.get(name, mask)).any())
        before = {n: m.clone() for n, m in pruner.masks.items()}
    assert {r: round(left[r], 1) for r in (3, 7, 15)} == {3: 51.3, 7: 21.1, 15: 3.6}
    flat = Pruner(build_model("lenet_300_100"), lottery_ticket(rounds=3))
    for _ in flat.rounds():
        pass
    assert (flat.prunable, round(100 * (1 - flat.sparsity), 1)) == (LENET - 1000, 51.2)  # global, without the output layer


def test_rates_per_kind_of_layer():
    """Conv-2: 10 % of convolutions, 20 % of hidden linear layers, 10 % of the output layer."""
    model = build_model("conv_2")
    pruner = Pruner(model, lottery_ticket(rounds=2, layers=(("features*", 0.1), ("fc3*", 0.1))))
    for _ in pruner.rounds():
        pass
    for name, mask in pruner.masks.items():
        rate = 0.2 if name.startswith(("fc1", "fc2")) else 0.1
        assert 1 - float(mask.float().mean()) == pytest.approx(1 - (1 - rate) ** 2, abs=1e-3), name


def test_a_sparsity_instead_of_a_rate():
    assert lottery_ticket(sparsity=0.9, rounds=4).schedule.final == pytest.approx(0.9)
    assert lottery_ticket(sparsity=0.9, rounds=4).schedule.rounds == 4
    with pytest.raises(RecipeError, match="layers' own rates say how far; leave sparsity out, or layers"):
        lottery_ticket(sparsity=0.9, layers=(("fc3*", 0.1),))


def test_what_the_survivors_do():
    assert lottery_ticket().recovery == Rewind(to=0)
    assert late_rewinding(to=300).recovery == Rewind(to=300) == lottery_ticket(to=300).recovery
    assert renda_2020(to=7).recovery == RewindLearningRate(to=7)
    assert liu_2019(budget="computation", seed=2).recovery == Reinitialize(seed=2, scaled=True, budget="computation")
    with pytest.raises(RecipeError, match="budget must be one of epochs, computation; got 'money'"):
        liu_2019(budget="money")


def test_a_ticket_starts_from_the_initial_weights():
    torch.manual_seed(0)
    model = build_model("digits_mlp")
    initial = {n: p.detach().clone() for n, p in model.named_parameters()}
    pruner = Pruner(model, lottery_ticket(rounds=2, rate=0.5))
    for _ in pruner.rounds():
        for name, p in model.named_parameters():
            mask = pruner.masks.get(name, torch.ones_like(p, dtype=torch.bool))
            assert torch.equal(p.detach(), initial[name] * mask)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        pruner.apply()
