"""Which weights an exchange takes and gives, by hand; and what becomes of values, moments, norms and dropouts."""

from __future__ import annotations

import dataclasses as dc
import math

import pytest
import torch
from torch import nn

from secateur import Compression, Macs, Pruner, Recipe, Sparsity
from secateur.allocation import Global, PerLayer, Uniform
from secateur.core.errors import DataError, ModelError
from secateur.recovery import Finetune
from secateur.schedule import DropGrow
from secateur.score import Random
from secateur.structure import Blocks, Kernels
from secateur.testing import small_batches, small_model

HALF = DropGrow(sparsity=0.5, end=4, every=1, fraction=0.5, decay="constant")


def row(schedule, mask, weights, gradient=None, **options):
    """A pruner of one row of weights, set to a mask after its first event; its next step is an exchange."""
    model = nn.Linear(len(weights), 1, bias=False)
    pruner = Pruner(model, Recipe(allocation=Uniform(), schedule=schedule), **options).prune()
    pruner.masks["weight"].copy_(torch.tensor([mask]).bool())
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
    if gradient is not None:
        model.weight.grad = torch.tensor([gradient])
    return model, pruner


def test_the_smallest_go_and_the_largest_gradients_come():
    """Of four, half goes: 0.1 and −0.2. Of the six that are not kept −9 and 7 have the largest gradients."""
    mask, weights = [1, 1, 1, 1, 0, 0, 0, 0], [0.1, 5.0, -0.2, -6.0, 0.7, 0.7, 0.7, 0.7]
    model, pruner = row(HALF, mask, weights, [1.0, 99.0, 2.0, 99.0, 3.0, -9.0, 4.0, 7.0])
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[0, 1, 0, 1, 0, 1, 0, 1]]
    assert model.weight.tolist() == [[0, 5, 0, -6, 0, 0, 0, 0]], "a new weight starts at 0, whatever the optimizer made of it"
    assert pruner.sparsity == 0.5


def test_what_is_dropped_may_be_chosen_again_and_keeps_its_value():
    """Of the dropped 0.1 and −0.2 the second has the largest gradient but one."""
    mask, weights = [1, 1, 1, 1, 0, 0, 0, 0], [0.1, 5.0, -0.2, -6.0, 0.0, 0.0, 0.0, 0.0]
    model, pruner = row(HALF, mask, weights, [1.0, 0.0, -8.0, 0.0, 3.0, 9.0, 4.0, 7.0])
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[0, 1, 1, 1, 0, 1, 0, 0]]
    assert model.weight.tolist()[0] == pytest.approx([0, 5, -0.2, -6, 0, 0, 0, 0])


def test_random_growth_takes_any_but_the_kept_and_other_seeds_others():
    mask, weights = [1] * 10 + [0] * 90, [float(i + 1) for i in range(10)] + [0.0] * 90
    seen = set()
    for seed in range(30):
        schedule = dc.replace(HALF, sparsity=0.9, grow="random", seed=seed)
        _, pruner = row(schedule, mask, weights)
        pruner.step()
        after = pruner.masks["weight"][0]
        assert after[5:10].all(), "6 to 10 are the larger half"
        assert int(after.sum()) == 10
        seen |= set(after.nonzero().flatten().tolist())
    assert seen & set(range(5)), "the dropped ones too"
    assert len(seen) > 60  # of 95, with 150 draws


def test_equal_gradients_go_to_the_first():
    _, pruner = row(HALF, [1, 1, 0, 0, 0], [1.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0])
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[0, 1, 1, 0, 0]]


def test_a_dense_layer_stays_as_it_is():
    model, pruner = row(HALF, [1, 1, 1], [3.0, 1.0, 2.0], [0.0, 0.0, 0.0])
    pruner.step()
    assert model.weight.tolist() == [[3, 1, 2]]


def test_new_weights_by_lot():
    """Root mean square of (3, −4): 5/√2. The draw is of as many weights as come, of the layer's scale, and repeats."""
    schedule = dc.replace(HALF, sparsity=0.5, fraction=1.0, grow="random", new_scale=0.1)
    mask, weights = [1, 0] * 1000, [3.0, 0.0, -4.0, 0.0] * 500
    found = []
    for _ in range(2):
        model, pruner = row(schedule, mask, weights)
        pruner.step()
        new = pruner.masks["weight"] & ~torch.tensor([mask]).bool()
        found.append(model.weight.detach()[new])
        assert int(new.sum()) > 400
        assert torch.equal(model.weight != 0, pruner.masks["weight"])
    assert torch.equal(*found)
    assert float(found[0].std()) == pytest.approx(0.1 * 5 / math.sqrt(2), rel=0.15)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)], ids=["adam", "sgd"])
def test_grown_weights_have_no_past(make, keep):
    model, pruner = row(HALF, [1, 1, 1, 1, 0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0, 0, 0, 0, 0])
    optimizer = make(model.parameters())
    pruner._keep_momentum = keep
    pruner.watch(optimizer)
    model.weight.grad = torch.tensor([[1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0, 5.0]])
    optimizer.step()
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[0, 0, 1, 1, 0, 0, 1, 1]]
    for name, moment in optimizer.state[model.weight].items():
        if name != "step":
            assert moment[0, 2:4].all()
            assert not moment[0, 6:].any(), "dense gradients gave them one"
            assert bool(moment[0, 4:6].any()) == keep


def test_a_step_that_overflowed_exchanges_nothing():
    _, pruner = row(HALF, [1, 1, 0, 0], [1.0, 2.0, 0.0, 0.0], [0.0, 0.0, math.inf, 0.0])
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[1, 1, 0, 0]]


def test_missing_gradients_are_refused_at_the_first_step():
    model = small_model()
    pruner = Pruner(model, Recipe(allocation=Uniform(), schedule=DropGrow())).prune()
    with pytest.raises(DataError) as e:
        pruner.step()
    assert str(e.value) == (
        "schedule 'drop_grow' grows where the gradient is large, and '0.weight' has none; call pruner.step() between "
        "optimizer.step() and optimizer.zero_grad(), pass Pruner(model, recipe, data=batches), or use grow='random'"
    )
    Pruner(small_model(), Recipe(allocation=Uniform(), schedule=DropGrow(grow="random"))).prune().step()


def test_gradients_of_the_data_where_parameters_have_none():
    """loss = w·x, whose gradient is x: the third and the last have the largest."""
    batch = [torch.tensor([[1.0, 1.0, -9.0, 2.0, 3.0, 4.0]])]
    mask, weights = [1, 1, 0, 0, 0, 1], [8.0, 9.0, 0.0, 0.0, 0.0, 1.0]
    _, pruner = row(dc.replace(HALF, fraction=0.34), mask, weights, data=batch, loss=lambda m, x: m(x).sum())
    pruner.step()
    assert pruner.masks["weight"].int().tolist() == [[1, 1, 1, 0, 0, 0]]


# ---------------------------------------------------------------- whole networks


def train(model, pruner, optimizer, batches):
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()


def left(pruner):
    return {n: int(m.sum()) for n, m in pruner.masks.items()}


@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("structure", [Blocks(shape=(2, 2)), Kernels()], ids=repr)
def test_larger_units(structure, grow):
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    recipe = Recipe(structure=structure, allocation=Uniform(), schedule=DropGrow(sparsity=0.75, end=9, every=2, grow=grow))
    pruner = Pruner(model, recipe, optimizer=optimizer).prune()
    before, first = left(pruner), {n: m.clone() for n, m in pruner.masks.items()}
    train(model, pruner, optimizer, small_batches(10))
    assert left(pruner) == before
    assert any(not torch.equal(m, pruner.masks[n]) for n, m in first.items())
    for name, mask in pruner.masks.items():
        units = structure.units(pruner._units.oriented(name, mask).float(), None)
        assert set(units.unique().tolist()) <= {0.0, 1.0}, "a unit came or went in part"
        assert not model.get_parameter(name)[~mask].any()


def test_adjusted_dropout_stays_where_the_first_mask_put_it():
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    recipe = Recipe(
        allocation=Uniform(), schedule=DropGrow(sparsity=0.75, end=6, every=1), recovery=Finetune(adjust_dropout=True)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruner = Pruner(model, recipe, optimizer=optimizer)
    train(model, pruner, optimizer, [(torch.randn(8, 16), torch.randint(4, (8,))) for _ in range(7)])
    assert pruner.events == 6
    assert model[2].p == pytest.approx(0.5 * 0.25**0.5)


@pytest.mark.parametrize("target", [Sparsity(0.9), Compression(4), Macs(0.3)], ids=repr)
def test_targets(target):
    model = small_model()
    recipe = Recipe(allocation=Global(), score=Random(), schedule=DropGrow(sparsity=0.5, end=9, every=2))
    inputs = small_batches(1)[0][0]
    pruner = Pruner(model, recipe, target=target, example_inputs=inputs if isinstance(target, Macs) else None)
    total, kept = sum(p.numel() for p in model.parameters()), []
    for batch in small_batches(10):
        train(model, pruner, torch.optim.SGD(model.parameters(), lr=0.05), [batch])
        gone = sum(int((~m).sum()) for m in pruner.masks.values())
        kept.append(pruner.sparsity if isinstance(target, Sparsity) else total / (total - gone))
    assert len(set(kept)) == 1
    if isinstance(target, Macs):
        keep = {n: m for n, m in pruner.masks.items() if n in pruner.targets}
        dense = Pruner(small_model(), Recipe(), example_inputs=inputs).preview([0.0], ["macs"])[0]["macs"]
        assert 0.29 < pruner._meter.macs(keep) / dense <= 0.3
    else:
        assert kept[0] == pytest.approx(0.9 if isinstance(target, Sparsity) else 4, rel=2e-3)


def test_a_target_out_of_reach():
    with pytest.raises(ModelError, match="cannot be reached"):
        Pruner(small_model(), Recipe(schedule=DropGrow()), target=Compression(100))


def test_the_first_mask_is_random_with_the_densities_of_the_allocation():
    shares = {"0.weight": 0.25, "3.weight": 0.9, "8.weight": 0.5}
    masks = []
    for seed in (0, 1):
        recipe = Recipe(allocation=PerLayer(sparsity=shares), schedule=DropGrow(seed=seed))
        model = small_model()
        weights = {n: p.detach().clone() for n, p in model.named_parameters()}
        pruner = Pruner(model, recipe).prune()
        gone = {n: int((~m).sum()) for n, m in pruner.masks.items()}
        assert gone == {"0.weight": 72, "3.weight": 1037, "8.weight": 128}
        large = {n: weights[n].abs()[m].mean() / weights[n].abs().mean() for n, m in pruner.masks.items()}
        assert all(0.8 < share < 1.2 for share in large.values()), "no matter how large"
        masks.append(pruner.masks)
    assert all(not torch.equal(m, masks[1][n]) for n, m in masks[0].items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("grow", ["gradient", "random"])
def test_the_device_changes_nothing(grow):
    found = []
    for device in ("cpu", "cuda"):
        model = small_model().to(device)
        schedule = DropGrow(sparsity=0.8, end=9, every=2, grow=grow, new_scale=0.1)
        pruner = Pruner(model, Recipe(allocation=Uniform(), schedule=schedule)).prune()
        draw = torch.Generator().manual_seed(1)
        for _ in range(8):
            for p in model.parameters():
                p.grad = torch.randn(p.shape, generator=draw).to(device)
            pruner.step()
        found.append((pruner.masks, {n: p.detach() for n, p in model.named_parameters()}))
    for one, other in zip(*found, strict=True):
        assert all(torch.allclose(v.cpu().float(), other[n].cpu().float(), atol=1e-6) for n, v in one.items())


def test_pruning_again_to_the_same_sparsity_changes_nothing():
    pruner = Pruner(small_model(), Recipe(allocation=Uniform(), schedule=DropGrow())).prune()
    before = {n: m.clone() for n, m in pruner.masks.items()}
    pruner.prune()
    assert all(torch.equal(m, before[n]) for n, m in pruner.masks.items())
