from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import ModelError, Pruner, Recipe, RecipeError, prune_
from secateur.recovery import Finetune, KeepTraining, Reinitialize, Rewind, RewindLearningRate
from secateur.recovery.reinitialize import kept_inputs
from secateur.schedule import Cubic, Iterative, OneShot
from secateur.testing import small_batches, small_model


def state_of(model):
    return {n: v.clone() for n, v in model.state_dict().items()}


def train(model, pruner, steps, optimizer=None):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for x, y in small_batches(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        pruner.step()
    return optimizer


@pytest.mark.parametrize("schedule", [OneShot(sparsity=0.6), Iterative(rounds=3, rate=0.3)], ids=repr)
@pytest.mark.parametrize("to", [0, 3])
def test_rewind_gives_back_exactly_the_weights_and_statistics_of_step_k(schedule, to):
    model = small_model()
    pruner = Pruner(model, Recipe(schedule=schedule, recovery=Rewind(to=to)))
    wanted = state_of(model) if to == 0 else None
    rounds = 0
    for sparsity in pruner.rounds():
        if rounds:
            assert pruner.t == to
            assert sparsity > 0
            for name, value in model.state_dict().items():
                mask = pruner.masks.get(name)
                assert torch.equal(value, wanted[name] if mask is None else wanted[name] * mask), name
        else:
            assert sparsity == 0
            train(model, pruner, to)
            assert sparsity == pruner.sparsity == 0, "the dense round is dense"
            wanted = state_of(model) if to else wanted
        train(model, pruner, 4)
        assert not torch.equal(model[0].weight, wanted["0.weight"])
        rounds += 1
    assert rounds == (4 if isinstance(schedule, Iterative) else 2)
    assert pruner.sparsity == pytest.approx(schedule.final, abs=1e-3)


def test_rewind_to_a_step_that_was_never_reached():
    model = small_model()
    with pytest.raises(ModelError) as e:
        prune_(model, Recipe(recovery=Rewind(to=3)))
    assert str(e.value) == (
        "recovery 'rewind' has no weights of step 3 to go back to; call pruner.step() after each optimizer.step() "
        "of the first round, for at least that many steps"
    )


def test_optimizer_state_is_dropped_when_training_starts_over():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    pruner = Pruner(model, Recipe(recovery=Rewind()), optimizer=optimizer)
    for r, _ in enumerate(pruner.rounds()):
        assert len(optimizer.state) == 0, f"round {r}"
        train(model, pruner, 1, optimizer)
        assert len(optimizer.state) > 0


def test_finetuning_keeps_the_optimizer():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    pruner = Pruner(model, Recipe(recovery=Finetune()), optimizer=optimizer)
    held = []
    for _ in pruner.rounds():
        held.append(len(optimizer.state))
        train(model, pruner, 1, optimizer)
    assert held == [0, len(list(model.parameters()))]


@pytest.mark.parametrize("recovery", [KeepTraining(), Finetune()], ids=repr)
def test_survivors_keep_their_values(recovery):
    model = small_model()
    before = state_of(model)
    pruner = prune_(model, Recipe(recovery=recovery))
    for name, value in model.state_dict().items():
        mask = pruner.masks.get(name)
        assert torch.equal(value, before[name] if mask is None else before[name] * mask)


def test_reinitialize_is_seeded_and_keeps_only_the_masks():
    models = [small_model(seed=s) for s in (1, 1, 1)]
    pruners = [prune_(m, Recipe(recovery=Reinitialize(seed=s))) for m, s in zip(models, (5, 5, 6), strict=True)]
    one, same, other = (m.state_dict() for m in models)
    assert all(torch.equal(v, same[n]) for n, v in one.items())
    assert not torch.equal(one["0.weight"], other["0.weight"])
    assert all(torch.equal(m, pruners[2].masks[n]) for n, m in pruners[0].masks.items()), "masks come from the old weights"
    dense = small_model(seed=1).state_dict()
    kept = pruners[0].masks["0.weight"]
    assert not bool((one["0.weight"][kept] == dense["0.weight"][kept]).any())
    assert not bool(one["0.weight"][~kept].any())
    assert float(models[0][1].running_mean.abs().sum()) == 0


def test_reinitialize_refuses_what_it_cannot_reset_before_any_work():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))
            self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.fc2(self.gain * self.fc1(x))

    sentence = (
        "recovery 'reinitialize' cannot reset module '1' (Scale): it holds gain and has no reset_parameters(); give the class one"
    )
    with pytest.raises(ModelError) as e:
        Pruner(nn.Sequential(nn.Linear(4, 4), Scale()), Recipe(recovery=Reinitialize()))
    assert str(e.value) == sentence
    with pytest.raises(ModelError, match=r"cannot reset the model itself \(Scale\)"):
        Pruner(Scale(), Recipe(recovery=Reinitialize()))
    Scale.reset_parameters = lambda self: [self.fc1.reset_parameters(), self.fc2.reset_parameters()]
    Pruner(Scale(), Recipe(recovery=Reinitialize()))


@pytest.mark.parametrize("recovery", [Rewind(), RewindLearningRate(), Reinitialize()], ids=repr)
def test_a_ramp_leaves_no_moment_to_start_over(recovery):
    with pytest.raises(RecipeError) as e:
        Recipe(schedule=Cubic(), recovery=recovery)
    assert str(e.value) == (
        f"recovery '{recovery.name}' does not go with schedule 'cubic': it starts training over after each pruning, and this "
        "schedule prunes while training; schedule that fits: iterative, one_shot"
    )


def test_learning_rate_rewinding_keeps_the_weights_and_moves_the_clock():
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    recovery = RewindLearningRate(to=3)
    pruner = Pruner(model, Recipe(schedule=Iterative(rounds=2, rate=0.3), recovery=recovery), optimizer=optimizer)
    trained = state_of(model)
    for r, _ in enumerate(pruner.rounds()):
        assert pruner.t == (3 if r else 0)
        assert len(optimizer.state) == 0
        for name, value in model.state_dict().items():
            mask = pruner.masks.get(name)
            assert torch.equal(value, trained[name] if mask is None else trained[name] * mask), name
        train(model, pruner, 2, optimizer)
        trained = state_of(model)
    assert pruner.state_dict()["snapshot"] is None


def test_rewinding_gives_back_the_scales_and_shifts_of_batch_norms():
    model = small_model()
    pruner = Pruner(model, Recipe(recovery=Rewind()))
    before = state_of(model)
    for r, _ in enumerate(pruner.rounds()):
        if r:
            assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items() if n.startswith("1."))
        train(model, pruner, 3)
        changed = [n for n, v in model.state_dict().items() if n.startswith("1.") and not torch.equal(v, before[n])]
        assert {n.removeprefix("1.") for n in changed} >= {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def test_scaled_initialisation_is_a_he_draw_of_the_smaller_network():
    """Each unit keeps one input of four: the same draw, twice as wide; a transposed convolution counts its second dimension."""

    model = nn.Sequential(nn.Linear(8, 6), nn.ConvTranspose2d(4, 2, 3))
    quarter, outputs = torch.zeros(6, 8, dtype=torch.bool), torch.zeros(4, 2, 3, 3, dtype=torch.bool)
    quarter[:3, :2] = True  # three units are gone, and do not count
    outputs[:1, :1] = True
    shares = kept_inputs(model, {"0.weight": quarter, "1.weight": outputs, "0.bias": quarter[:, 0], "none": quarter & False})
    assert shares == {"0.weight": 0.25, "1.weight": 0.25}
