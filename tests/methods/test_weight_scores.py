"""The methods that remove single weights by what they do to loss, gradients, flow or outputs: as their papers say, end to end."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import DataError, Pruner, RecipeError, prune_
from secateur.methods import exact_obs, grasp, lamp, make, obd, snip, synflow
from secateur.testing import small_batches, small_model
from secateur.training.models import LeNet300100

WORDS = {
    "snip": "weights snip global one_shot keep_training",
    "grasp": "weights grasp global one_shot keep_training",
    "synflow": "weights syn_flow global one_shot keep_training",
    "obd": "weights obd global iterative finetune",
    "exact_obs": "weights obs uniform one_shot reconstruct",
    "lamp": "weights magnitude lamp iterative finetune",
}


@pytest.mark.parametrize("name", WORDS)
def test_the_five_words(name):
    recipe = make(name)
    axes = (recipe.structure, recipe.score, recipe.allocation, recipe.schedule, recipe.recovery)
    assert " ".join(a.name for a in axes) == WORDS[name]
    assert recipe.prune_classifier == (name in ("snip", "grasp", "synflow")), "before training every layer is pruned"


def test_arguments_reach_the_words():
    assert snip(sparsity=0.95).schedule.final == 0.95
    assert grasp(temperature=1).score.temperature == 1
    assert (synflow().schedule.iterations, synflow(iterations=7).schedule.iterations) == (100, 7)
    assert obd(sparsity=0.9, rounds=2).schedule.at_round(2) == pytest.approx(0.9)
    assert obd(epochs=3, learning_rate=0.1).recovery.to_dict(minimal=True) == {
        "name": "finetune", "epochs": 3.0, "learning_rate": 0.1
    }  # fmt: skip
    damped = exact_obs(damping=0.5, recalibrate=9)
    assert (damped.score.damping, damped.recovery.damping, damped.recovery.recalibrate) == (0.5, 0.5, 9)
    assert lamp(sparsity=0.75, rounds=2).schedule.rate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("snip", {"sparsity": 1.0}, "schedule 'one_shot': sparsity must be ≥ 0 and < 1; got 1"),
        ("snip", {"batches": 1}, "method 'snip' has no argument 'batches'; it has 'sparsity'"),
        ("grasp", {"temperature": 0}, "score 'grasp': temperature must be > 0; got 0"),
        ("synflow", {"iterations": 0}, "schedule 'one_shot': iterations must be ≥ 1; got 0"),
        ("synflow", {"iterations": 1.5}, "method 'synflow': iterations must be a whole number; got 1.5"),
        ("obd", {"sparsity": 1.5}, "Sparsity: the fraction removed must be ≥ 0 and < 1; got 1.5"),
        ("exact_obs", {"damping": -1}, "score 'obs': damping must be ≥ 0; got -1"),
        ("lamp", {"rounds": 0}, "schedule 'iterative': rounds must be ≥ 1; got 0"),
    ],
    ids=str,
)
def test_arguments_are_checked(name, arguments, sentence):
    with pytest.raises(RecipeError) as e:
        make(name, **arguments)
    assert str(e.value) == sentence


@pytest.mark.parametrize("build", [snip, grasp, obd, exact_obs])
def test_they_ask_for_their_data_before_any_work(build):
    with pytest.raises(DataError, match=r"data=batches"):
        prune_(small_model(), build())


def test_synflow_asks_for_an_input_and_no_labels():
    with pytest.raises(DataError, match="whose values do not matter"):
        prune_(small_model(), synflow())
    pruner = prune_(small_model(), synflow(sparsity=0.99), example_inputs=torch.zeros(1, 4, 8, 8))
    assert pruner.events == 100
    assert sum(int(m.sum()) for m in pruner.masks.values()) == 1760 - round(0.99 * 1760)
    assert min(int(m.sum()) for m in pruner.masks.values()) >= 1


def separable(count=400, seed=0):
    """Pictures of 784 numbers whose two classes differ in forty of them alone."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (count,), generator=g)
    x = torch.randn(count, 784, generator=g) * 0.3
    x[:, 300:340] += (2.0 * y - 1)[:, None]
    return x.view(-1, 1, 28, 28), y


def test_snip_keeps_the_inputs_that_tell_the_classes_apart():
    """From an untrained LeNet-300-100: at 95 % most of what is left of the first layer reads the forty that matter."""
    torch.manual_seed(0)
    model = LeNet300100()
    pruner = prune_(model, snip(sparsity=0.95), data=[separable()])
    assert sum(int(m.sum()) for m in pruner.masks.values()) == 266_200 - round(0.95 * 266_200)
    reads = pruner.masks["fc1.weight"].sum(0)
    assert int(reads[300:340].sum()) > 0.5 * int(reads.sum())
    assert float(reads[300:340].float().mean()) > 10 * float(reads.float().mean())


@pytest.mark.parametrize("build", [snip, grasp, synflow])
def test_pruned_before_training_it_still_learns(build):
    torch.manual_seed(0)
    model, (x, y) = LeNet300100(), separable()
    pruner = prune_(model, build(sparsity=0.98), data=[(x, y)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()
    test_x, test_y = separable(seed=1)
    assert float((model(test_x).argmax(1) == test_y).float().mean()) > 0.95
    assert sum(int(m.sum()) for m in pruner.masks.values()) == 266_200 - round(0.98 * 266_200)


def trained(seed=0):
    """A small network that has learnt a curved function of correlated inputs, and data of it."""
    torch.manual_seed(seed)
    x = torch.randn(600, 20) @ torch.randn(20, 20) / 4
    y = (x[:, :5].sin() @ torch.randn(5, 4)).argmax(1)
    model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, [(a, b) for a, b in zip(x.split(100), y.split(100), strict=True)]


def test_in_one_shot_the_surgeon_beats_damage_and_magnitude_and_all_beat_chance():
    """Loss after removing 60 % of a trained network's weights without training, mean of three seeds."""
    losses = {}
    for seed in range(3):
        for name in ("exact_obs", "obd", "layer_magnitude", "random"):
            model, data = trained(seed)
            recipe = make(name, sparsity=0.6, **({"rounds": 1} if name == "obd" else {}))
            Pruner(model, recipe, data=data).prune()
            with torch.no_grad():
                loss = sum(float(nn.functional.cross_entropy(model(x), y)) for x, y in data) / len(data)
            losses[name] = losses.get(name, 0.0) + loss / 3
    surgeon, chance = losses.pop("exact_obs"), losses.pop("random")
    assert surgeon < 0.5 * min(losses.values())
    assert max(losses.values()) < chance


def test_reconstruction_brings_a_convolutional_network_nearer_its_outputs():
    """Pruned by half in one shot, with batch norms: nearer the dense outputs than magnitude leaves it, on held-out data too."""
    data, held_out = small_batches(6), small_batches(4, seed=9)

    def distance(recipe):
        dense, model = small_model().eval(), small_model().eval()
        Pruner(model, recipe, data=data).prune()
        with torch.no_grad():
            return sum(float((model(x) - dense(x)).square().mean()) for x, _ in held_out)

    surgeon, magnitude = distance(exact_obs(sparsity=0.5)), distance(make("layer_magnitude", sparsity=0.5))
    assert surgeon < 0.5 * magnitude


def test_lamp_reaches_its_sparsity_in_rounds_and_empties_nothing():
    model = small_model()
    pruner = Pruner(model, lamp(sparsity=1 - 3 / 1696, rounds=4))
    counts = [sum(int(m.sum()) for m in pruner.masks.values()) or 1696 for _ in pruner.rounds()]
    assert counts[-1] == 3
    assert counts == sorted(counts, reverse=True)
    assert [int(m.sum()) for m in pruner.masks.values()] == [1, 1, 1]
