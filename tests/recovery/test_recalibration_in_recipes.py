"""A recipe that recalibrates: in every way to drive a pruner, and in the lab, on training examples alone."""

from __future__ import annotations

import dataclasses as dc

import pytest
import torch
from torch import nn

from secateur import DataError, ModelError, Pruner, Recipe, prune_
from secateur.lab import Experiment, load_model, run
from secateur.recovery import Finetune, KeepTraining, recalibrate_
from secateur.schedule import Cubic, Iterative, OneShot
from secateur.structure import Filters
from secateur.testing import small_batches, small_model
from secateur.training import Training
from secateur.training.data import Data, Split

DATA = small_batches(6)  # 48 examples in batches of 8


def wanted_statistics(model, masks):
    """What pruning and then recalibrating by hand gives."""
    alone = small_model()
    Pruner(alone, Recipe()).apply()
    with torch.no_grad():
        for name, mask in masks.items():
            alone.get_parameter(name).mul_(mask)
    recalibrate_(alone, DATA, examples=20)  # three batches
    return {n: v for n, v in alone.state_dict().items() if "running" in n or "tracked" in n}


@pytest.mark.parametrize("structure", [None, Filters()], ids=["weights", "filters"])
@pytest.mark.parametrize("recovery", [KeepTraining(recalibrate=20), Finetune(recalibrate=20)], ids=repr)
@pytest.mark.parametrize("way", ["prune", "prune_", "rounds", "step"])
def test_every_way_to_drive_a_pruner_recalibrates_after_pruning(way, recovery, structure):
    model = small_model()
    recipe = Recipe(**({} if structure is None else {"structure": structure}), schedule=OneShot(sparsity=0.5), recovery=recovery)
    if way == "prune_":
        pruner = prune_(model, recipe, data=DATA)
    else:
        pruner = Pruner(model, recipe, data=DATA)
        if way == "prune":
            pruner.prune()
        elif way == "rounds":
            assert [round(s, 1) for s in pruner.rounds()] == [0.0, 0.5]
        else:
            pruner.step()
    found = model.state_dict()
    for name, value in wanted_statistics(model, pruner.masks).items():
        assert torch.equal(found[name], value), name


def test_a_recipe_that_does_not_ask_leaves_the_statistics():
    model = small_model()
    before = {n: v.clone() for n, v in model.state_dict().items() if "running" in n}
    prune_(model, Recipe(recovery=Finetune()), data=DATA)
    assert all(torch.equal(model.state_dict()[n], v) for n, v in before.items())


def test_a_ramp_recalibrates_at_each_event():
    model = small_model()
    schedule = Cubic(sparsity=0.5, begin=0, end=4, every=2)
    pruner = Pruner(model, Recipe(schedule=schedule, recovery=KeepTraining(recalibrate=20)), data=DATA)
    counts = []
    for _ in range(4):
        model[1].num_batches_tracked.fill_(100)
        pruner.step()
        counts.append(int(model[1].num_batches_tracked))
    assert counts == [3, 3, 100, 3], "at steps 0, 2 and 4; the first step() prunes for steps 0 and 1"


def test_missing_data_is_told_before_any_work():
    with pytest.raises(DataError) as e:
        Pruner(small_model(), Recipe(recovery=Finetune(recalibrate=1000)))
    assert str(e.value) == ("recovery 'finetune' recalibrates batch norms on training data; pass Pruner(model, recipe, data=...)")


def test_a_model_without_batch_norm_is_refused_before_any_work():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    with pytest.raises(ModelError) as e:
        Pruner(model, Recipe(recovery=KeepTraining(recalibrate=10)), data=[torch.zeros(2, 4)])
    assert str(e.value) == (
        "recovery 'keep_training' cannot recalibrate this Sequential: it has no batch norm with running statistics; "
        "use recalibrate=0"
    )
    Pruner(model, Recipe(recovery=KeepTraining()))


def test_it_renames_no_old_result():
    assert Recipe(recovery=Finetune(recalibrate=0)).id == Recipe(recovery=Finetune()).id
    assert Recipe(recovery=Finetune(recalibrate=1)).id != Recipe(recovery=Finetune()).id
    assert Finetune(recalibrate=5).to_dict(minimal=True) == {"name": "finetune", "recalibrate": 5}


# ---------------------------------------------------------------- in the lab


def marked() -> Data:
    """Inputs say which split they are of: training 0 to 1, validation about 100, test about 10 000."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(900, 6, generator=g), torch.arange(900) % 3
    parts = Split(x[:700], y[:700]), Split(x[700:800] + 100, y[700:800]), Split(x[800:] + 10_000, y[800:])
    return Data(name="marked", train=parts[0], validation=parts[1], test=parts[2], classes=3, shape=(6,))


def moved() -> Data:
    """As ``marked``, and varied in training by adding 3."""
    return dc.replace(marked(), name="moved", augment=lambda inputs, generator: inputs + 3)


def network() -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3))


@pytest.mark.parametrize("schedule", [OneShot(sparsity=0.5), Iterative(rounds=2, rate=0.3)], ids=repr)
@pytest.mark.parametrize("count", [32, 640])
def test_the_lab_recalibrates_on_training_examples_alone(schedule, count, tmp_path):
    here = f"{__name__}:"
    recipe = Recipe(schedule=schedule, recovery=Finetune(epochs=0, recalibrate=count))
    experiment = Experiment(
        task=f"{here}marked", model=f"{here}network", recipe=recipe, training=Training(epochs=1, batch_size=100, momentum=0)
    )
    raw = dc.replace(experiment, recipe=Recipe(schedule=schedule, recovery=Finetune(epochs=0)))
    for e in (experiment, raw):
        run(e, tmp_path)
    done, before = load_model(experiment, tmp_path), load_model(raw, tmp_path)
    first = done[0]
    assert int(first.num_batches_tracked) == count // 64 + (count % 64 > 0)
    torch.testing.assert_close(first.running_mean, torch.full((6,), 0.5), atol=0.2, rtol=0)
    assert all(torch.equal(p, q) for p, q in zip(done.parameters(), before.parameters(), strict=True)), "the same masks"
    assert not torch.equal(done[2].running_mean, before[2].running_mean)


@pytest.mark.parametrize("augment", [True, False])
def test_the_lab_recalibrates_on_examples_as_the_training_varies_them(augment, tmp_path):
    """A network's statistics are those of what it was trained on."""
    experiment = Experiment(
        task=f"{__name__}:moved",
        model=f"{__name__}:network",
        recipe=Recipe(recovery=Finetune(epochs=0, recalibrate=64)),
        training=Training(epochs=1, batch_size=100, momentum=0, augment=augment),
    )
    run(experiment, tmp_path)
    wanted = torch.full((6,), 3.5 if augment else 0.5)
    torch.testing.assert_close(load_model(experiment, tmp_path)[0].running_mean, wanted, atol=0.2, rtol=0)
