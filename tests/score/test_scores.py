from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import DataError, Pruner, Recipe, prune_
from secateur.core.statistics import Statistics, collect_gradients, default_loss
from secateur.schedule import Cubic
from secateur.score import Magnitude, Random, Snip
from secateur.testing import small_batches, small_model


def test_magnitude():
    w = torch.tensor([-3.0, 0.0, 2.0])
    assert Magnitude()(w, Statistics(name="w")).tolist() == [3, 0, 2]
    assert Magnitude(p=2)(w, Statistics(name="w")).tolist() == [9, 0, 4]


def test_random_is_named_numbered_and_seeded():
    w = torch.zeros(50)
    draw = [Random(seed=s)(w, Statistics(name=n, event=e)) for s, n, e in [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]]
    assert all(not torch.equal(draw[i], draw[j]) for i in range(4) for j in range(i))
    assert all(bool((d >= 0).all()) and bool((d < 1).all()) for d in draw)


def test_random_golden():
    """A seed in a recipe means the same masks in every release."""
    found = Random(seed=0)(torch.zeros(4), Statistics(name="fc1.weight"))
    assert [round(v, 4) for v in found.tolist()] == [0.1224, 0.9197, 0.0178, 0.9013]


def test_gradient_is_the_finite_difference_of_the_loss_in_a_gate():
    """|w·∂L/∂w| = |∂L/∂c| at c = 1, for the gate c in w ← c·w."""
    model, batches = small_model().double().eval(), [(x.double(), y) for x, y in small_batches(2)]
    names = ["3.weight", "8.weight"]
    gradients = collect_gradients(model, names, batches, None)

    def loss():
        with torch.no_grad():
            return sum(float(default_loss(model, b)) for b in batches) / len(batches)

    for name in names:
        weight = model.get_parameter(name)
        score = Snip()(weight.detach(), Statistics(name=name, gradient=gradients[name])).flatten()
        for i in range(0, weight.numel(), weight.numel() // 7):
            flat, h = weight.data.view(-1), 1e-6
            value = float(flat[i])
            flat[i] = value * (1 + h)
            above = loss()
            flat[i] = value * (1 - h)
            below = loss()
            flat[i] = value
            assert float(score[i]) == pytest.approx(abs(above - below) / (2 * h), rel=1e-4, abs=1e-9)


def test_collecting_gradients_leaves_the_model_alone():
    model = small_model()
    model[0].weight.requires_grad_(False)
    model[4].eval()
    model[3].weight.grad = torch.ones_like(model[3].weight)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    found = collect_gradients(model, ["0.weight", "3.weight"], small_batches(2), None)
    assert float(found["0.weight"].abs().max()) > 0
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert not model[0].weight.requires_grad
    assert bool((model[3].weight.grad == 1).all())
    assert model[8].weight.grad is None


def test_the_mean_is_over_batches():
    model, batches = small_model(), small_batches(3)
    alone = [collect_gradients(model, ["8.weight"], [b], None)["8.weight"] for b in batches]
    together = collect_gradients(model, ["8.weight"], batches, None)["8.weight"]
    assert torch.allclose(together, sum(alone) / 3, atol=1e-7)


class Mapped(nn.Module):
    """Takes a mapping and answers with a loss, as Transformers' models do."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, inputs, labels):
        loss = nn.functional.cross_entropy(self.fc2(self.fc1(inputs).relu()), labels)
        return type("Output", (), {"loss": loss})()


def test_batches_of_other_kinds():
    x, y = torch.randn(5, 4), torch.randint(3, (5,))
    one = collect_gradients(Mapped(), ["fc1.weight"], [{"inputs": x, "labels": y}], None)
    assert float(one["fc1.weight"].abs().max()) > 0
    language = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    wanted = nn.functional.cross_entropy(language(x.view(1, 5, 4)).flatten(0, 1), y)
    assert torch.equal(default_loss(language, (x.view(1, 5, 4), y.view(1, 5))), wanted)
    custom = collect_gradients(language, ["0.weight"], [x], lambda model, batch: model(batch).square().mean())
    assert float(custom["0.weight"].abs().max()) > 0


@pytest.mark.parametrize("batch", [torch.zeros(2, 4), (torch.zeros(2, 4), torch.zeros(2, 3)), {"x": torch.zeros(2, 4)}], ids=type)
def test_a_batch_no_loss_is_known_for(batch):
    class Anything(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc2(self.fc1(x))

    with pytest.raises(DataError) as e:
        prune_(Anything(), Recipe(score=Snip()), data=[batch])
    assert str(e.value) == (
        f"no loss is known for a batch of type {type(batch).__name__}; batches are (inputs, integer labels) or a mapping the "
        "model takes and answers with .loss; otherwise pass loss=lambda model, batch: ..."
    )


def test_no_batch_at_all():
    with pytest.raises(DataError, match="data holds no batch"):
        prune_(small_model(), Recipe(score=Snip()), data=[])


def test_missing_gradients_are_told_before_any_work():
    sentence = (
        "score 'snip' needs gradients; pass Pruner(model, recipe, data=batches), or call "
        "pruner.step() between optimizer.step() and optimizer.zero_grad()"
    )
    with pytest.raises(DataError) as e:
        prune_(small_model(), Recipe(score=Snip()))
    assert str(e.value) == sentence
    with pytest.raises(DataError) as e:
        next(Pruner(small_model(), Recipe(score=Snip())).rounds())
    assert str(e.value) == sentence
    with pytest.raises(DataError) as e:
        Pruner(small_model(), Recipe(score=Snip(), schedule=Cubic())).step()
    assert str(e.value) == sentence
    with pytest.raises(DataError, match="needs gradients"):
        Snip()(torch.ones(2), Statistics(name="w"))


def test_gradients_of_the_loop_serve_when_no_data_is_given():
    model, (batch,) = small_model().eval(), small_batches(1)
    default_loss(model, batch).backward()
    mine = Pruner(model, Recipe(score=Snip())).prune(0.5).masks
    theirs = prune_(small_model(), Recipe(score=Snip()), data=[batch]).masks
    assert all(torch.equal(m, theirs[n]) for n, m in mine.items())
