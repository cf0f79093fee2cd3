"""The pruner in a user's own loop, in rounds, and after a restart."""

from __future__ import annotations

import copy
import dataclasses as dc
import io

import pytest
import torch
from torch import nn

from secateur import Compression, ModelError, Pruner, Recipe, RecipeError, prune_
from secateur.allocation import Global, StdThreshold, Uniform
from secateur.recovery import Finetune, KeepTraining, Reinitialize, Rewind
from secateur.schedule import Cubic, Iterative, OneShot, Polynomial
from secateur.score import Random, Snip
from secateur.structure import NM, Filters, Weights
from secateur.testing import small_batches, small_model

RAMP = Polynomial(sparsity=0.8, initial=0.2, begin=2, end=8, every=3, power=1)  # 0.2 after step 2, 0.5 after 5, 0.8 after 8


def step(model, optimizer, batch):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    optimizer.step()


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def gone(pruner):
    return sum(int((~m).sum()) for m in pruner.masks.values()) / pruner.prunable


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[n]) for n, v in one.items())


# ---------------------------------------------------------------- driving it


@pytest.mark.parametrize("way", ["own loop", "attach"])
def test_a_ramp_prunes_after_the_steps_it_names(way):
    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, Recipe(schedule=RAMP), optimizer=optimizer)
    if way == "attach":
        assert pruner.attach(optimizer) is pruner
    seen = []
    for batch in small_batches(10):
        step(model, optimizer, batch)
        if way == "own loop":
            pruner.step()
        seen.append(round(pruner.sparsity, 2))
    assert seen == [0, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.8, 0.8, 0.8]
    assert (pruner.t, pruner.events, pruner.round) == (10, 3, 0)
    assert gone(pruner) == pruner.sparsity


@pytest.mark.parametrize("at", [0, 1, 3])
def test_one_shot_in_a_loop(at):
    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.5, at_training_step=at)))
    seen = []
    for batch in small_batches(4):
        step(model, optimizer, batch)
        pruner.step()
        seen.append(pruner.sparsity)
    assert seen == [0.0] * (max(at, 1) - 1) + [0.5] * (5 - max(at, 1))
    assert pruner.events == 1


def test_attaching_twice_counts_once():
    model = small_model()
    optimizer, other = sgd(model), sgd(model)
    pruner = Pruner(model, Recipe(schedule=RAMP)).attach(optimizer).attach(optimizer)
    step(model, optimizer, small_batches(1)[0])
    assert pruner.t == 1
    pruner.attach(other)
    step(model, optimizer, small_batches(1)[0])
    assert pruner.t == 1
    step(model, other, small_batches(1)[0])
    assert pruner.t == 2


def test_rounds_begin_dense_and_say_where_they_are():
    model = small_model()
    pruner = Pruner(model, Recipe(schedule=Iterative(rounds=3, rate=0.5), score=Random()))
    seen = []
    for sparsity in pruner.rounds():
        seen.append((sparsity, pruner.round, pruner.t))
        step(model, optimizer := sgd(model), small_batches(1)[0])
        pruner.step()
        del optimizer
    n = pruner.prunable
    assert seen == [(round(n * s) / n, r, 0) for r, s in enumerate((0, 0.5, 0.75, 0.875))]


@pytest.mark.parametrize("way", ["step", "attach"])
def test_steps_within_rounds_do_not_prune(way):
    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.5, at_training_step=2), recovery=Finetune()))
    if way == "attach":
        pruner.attach(optimizer)
    seen = []
    for _ in pruner.rounds():
        for batch in small_batches(4):
            step(model, optimizer, batch)
            if way == "step":
                pruner.step()
        seen.append((pruner.sparsity, pruner.events))
    assert seen == [(0, 0), (0.5, 1)]


def test_a_ramp_has_no_rounds():
    with pytest.raises(RecipeError) as e:
        prune_(small_model(), Recipe(schedule=Cubic()))
    assert str(e.value) == (
        "rounds() needs a schedule that counts rounds (iterative, one_shot); 'cubic' prunes while training: "
        "call pruner.step() after optimizer.step()"
    )


def test_one_call():
    model = small_model()
    trained = []

    def train(m):
        trained.append(m)
        with torch.no_grad():
            for p in m.parameters():
                p.add_(1)

    pruner = prune_(model, Recipe(schedule=Iterative(rounds=2, rate=0.5)), train=train)
    assert trained == [model, model], "once a round, not in the dense one"
    assert all(not bool(model.get_parameter(n)[~m].any()) for n, m in pruner.masks.items())
    assert pruner.sparsity == 0.75


def test_prune_now_and_again():
    pruner = Pruner(small_model(), Recipe(schedule=OneShot(sparsity=0.75)))
    assert pruner.prune(0.25).sparsity == 0.25
    assert pruner.prune().sparsity == 0.75
    assert pruner.prune(0.5).sparsity == 0.75, "what is gone stays gone"
    for wrong in (-0.1, 1.1):
        with pytest.raises(RecipeError, match=f"sparsity is the fraction removed, ≥ 0 and ≤ 1 .*; got {wrong}"):
            pruner.prune(wrong)


def test_apply_to_another_model():
    model = small_model()
    pruner = prune_(model, Recipe())
    other = small_model(seed=9)
    pruner.apply(other)
    assert all(not bool(other.get_parameter(n)[~m].any()) for n, m in pruner.masks.items())
    assert bool(other.get_parameter("0.weight")[pruner.masks["0.weight"]].any())


def test_the_model_is_left_as_it_is():
    model = small_model()
    names, kinds, forward = list(model.state_dict()), [type(m) for m in model.modules()], type(model).forward
    before = {n: v.clone() for n, v in model.state_dict().items()}
    pruner = Pruner(model, Recipe(recovery=Rewind()))
    assert same(before, model.state_dict())
    for _ in pruner.rounds():
        pass
    assert (list(model.state_dict()), [type(m) for m in model.modules()], type(model).forward) == (names, kinds, forward)
    assert all(type(p) is nn.Parameter and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_frozen_parameters_are_pruned_too_and_stay_frozen():
    model = small_model().requires_grad_(False)
    pruner = prune_(model, Recipe(score=Snip()), data=small_batches(1))
    assert pruner.sparsity == 0.5
    assert not any(p.requires_grad for p in model.parameters())


def test_data_is_read_anew_at_each_event():
    class Batches:
        read = 0

        def __iter__(self):
            self.read += 1
            return iter(small_batches(1))

    data = Batches()
    prune_(small_model(), Recipe(score=Snip(), schedule=Iterative(rounds=3)), data=data)
    assert data.read == 3


# ---------------------------------------------------------------- looking at it


def test_what_it_shows():
    pruner = prune_(small_model(), Recipe(structure=NM(), allocation=Uniform()), target=Compression(1.2))
    text = " ".join(repr(pruner).split())
    assert "nm · magnitude · uniform · one_shot · keep_training" in text
    assert "classifier (prune_classifier=True prunes it)" in text
    assert "8×4×3×3" in text
    assert f"{pruner.sparsity:.2%} of 1,696 prunable parameters pruned" in text


def test_what_it_counts():
    assert Pruner(small_model(), Recipe()).prunable == 288 + 1152 + 256
    followers = 8 * 3 + 16 * 2 + 16
    assert Pruner(small_model(), Recipe(structure=Filters())).prunable == 288 + 1152 + 256 + followers
    assert Pruner(small_model(), Recipe(prune_classifier=True)).prunable == 288 + 1152 + 256 + 64


# ---------------------------------------------------------------- keeping it


def through_a_file(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def all_of(model, optimizer, pruner):
    return through_a_file({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "pruner": pruner.state_dict()})


def restored(state, recipe):
    model = small_model(seed=77)
    model.load_state_dict(state["model"])
    optimizer = sgd(model)
    optimizer.load_state_dict(state["optimizer"])
    pruner = Pruner(model, recipe, optimizer=optimizer, data=small_batches(1, seed=5))
    pruner.load_state_dict(state["pruner"])
    return model, optimizer, pruner


@pytest.mark.parametrize("structure", [Weights(), Filters()], ids=repr)
@pytest.mark.parametrize("score", [Random(), Snip()], ids=repr)
@pytest.mark.parametrize("stop", [1, 2, 4, 5, 9])
def test_resuming_in_a_ramp_changes_no_bit(structure, score, stop):
    recipe, batches = Recipe(structure=structure, score=score, allocation=Uniform(), schedule=RAMP), small_batches(10)

    def go(model, optimizer, pruner, todo):
        for batch in todo:
            step(model, optimizer, batch)
            pruner.step()

    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, recipe, optimizer=optimizer, data=small_batches(1, seed=5))
    go(model, optimizer, pruner, batches[:stop])
    saved = all_of(model, optimizer, pruner)
    go(model, optimizer, pruner, batches[stop:])
    resumed = restored(saved, recipe)
    go(*resumed, batches[stop:])
    assert same(model.state_dict(), resumed[0].state_dict())
    assert same(pruner.masks, resumed[2].masks)
    assert (resumed[2].t, resumed[2].events) == (pruner.t, pruner.events) == (10, 3)


@pytest.mark.parametrize("recovery", [KeepTraining(), Finetune(), Rewind(to=0), Rewind(to=2), Reinitialize(seed=3)], ids=repr)
@pytest.mark.parametrize(("stop_round", "stop_step"), [(0, 1), (0, 3), (1, 2), (2, 1), (2, 4)])
def test_resuming_in_a_round_changes_no_bit(recovery, stop_round, stop_step):
    recipe, batches, steps = Recipe(schedule=Iterative(rounds=2, rate=0.4), recovery=recovery), small_batches(10), 5
    saved = {}

    def go(model, optimizer, pruner):
        for _ in pruner.rounds():
            while pruner.t < steps:
                step(model, optimizer, batches[pruner.t])
                pruner.step()
                if (pruner.round, pruner.t) == (stop_round, stop_step) and not saved:
                    saved.update(all_of(model, optimizer, pruner))

    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, recipe, optimizer=optimizer)
    go(model, optimizer, pruner)
    if not saved:
        assert recovery.resume_at >= stop_step, "a step that rounds after a rewind do not pass"
        return
    resumed = restored(saved, recipe)
    go(*resumed)
    assert same(model.state_dict(), resumed[0].state_dict())
    assert same(pruner.masks, resumed[2].masks)
    assert (resumed[2].round, resumed[2].t) == (pruner.round, pruner.t) == (2, steps)


def test_a_state_is_a_copy():
    model = small_model()
    pruner = Pruner(model, Recipe(recovery=Rewind())).prune(0.25)
    state = pruner.state_dict()
    before = {n: m.clone() for n, m in state["masks"].items()}
    snapshot = {n: v.clone() for n, v in state["snapshot"].items()}
    pruner.prune(0.5)
    with torch.no_grad():
        model[0].weight.add_(1)
    assert same(before, state["masks"])
    assert same(snapshot, state["snapshot"])


def test_a_loaded_state_masks_the_model():
    state = prune_(small_model(), Recipe()).state_dict()
    model = small_model(seed=3)
    Pruner(model, Recipe()).load_state_dict(state)
    assert all(not bool(model.get_parameter(n)[~m].any()) for n, m in state["masks"].items())


def test_a_state_of_something_else():
    state = prune_(small_model(), Recipe()).state_dict()
    with pytest.raises(ModelError) as e:
        Pruner(small_model(), Recipe(structure=Filters())).load_state_dict(state)
    assert str(e.value) == "this state is of another recipe: {}; this pruner has {'structure': {'name': 'filters'}}"
    other = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with pytest.raises(
        ModelError, match=r"this state is of another model: it has a mask of shape \[8, 4, 3, 3\] for '0\.weight'"
    ):
        Pruner(other, Recipe()).load_state_dict(state)
    with pytest.raises(RecipeError, match="this recipe has version 9"):
        Pruner(small_model(), Recipe()).load_state_dict({**state, "recipe": {**state["recipe"], "version": 9}})


@pytest.mark.parametrize("part", ["recipe", "t", "round", "events", "masks", "dropout", "snapshot"])
def test_a_state_that_lacks_a_part(part):
    state = prune_(small_model(), Recipe()).state_dict()
    del state[part]
    with pytest.raises(ModelError, match=f"this is no state of a pruner: it lacks '{part}'"):
        Pruner(small_model(), Recipe()).load_state_dict(state)


def test_a_failed_load_changes_nothing():
    pruner = Pruner(small_model(), Recipe()).prune(0.25)
    state = pruner.state_dict()
    bad = {**state, "masks": {**state["masks"], "8.weight": torch.ones(3, dtype=torch.bool)}, "t": 99}
    with pytest.raises(ModelError):
        pruner.load_state_dict(bad)
    assert (pruner.t, pruner.sparsity) == (0, 0.25)


# ---------------------------------------------------------------- copies


def test_a_copied_model_is_pruned_on_its_own():
    model = small_model()
    prune_(model, Recipe(schedule=OneShot(sparsity=0.25)))
    twin = copy.deepcopy(model)
    assert same(model.state_dict(), twin.state_dict())
    prune_(twin, Recipe(schedule=OneShot(sparsity=0.75)))
    assert int((model[3].weight == 0).sum()) < int((twin[3].weight == 0).sum())


def test_a_model_copied_with_its_pruner_and_optimizer_goes_on_alike():
    model = small_model()
    optimizer = sgd(model)
    pruner = Pruner(model, Recipe(schedule=RAMP), optimizer=optimizer)
    batches = small_batches(10)
    for batch in batches[:4]:
        step(model, optimizer, batch)
        pruner.step()
    twin = copy.deepcopy((model, optimizer, pruner))
    assert twin[2].model is twin[0]
    for m, o, p in ((model, optimizer, pruner), twin):
        for batch in batches[4:]:
            step(m, o, batch)
            p.step()
    assert same(model.state_dict(), twin[0].state_dict())
    assert model[0].weight.data_ptr() != twin[0][0].weight.data_ptr()
    assert pruner.masks["0.weight"].data_ptr() != twin[2].masks["0.weight"].data_ptr()


# ---------------------------------------------------------------- models of all kinds


class Untraceable(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        for _ in range(int(x.abs().sum()) % 3):
            x = self.a(x).relu()
        return self.head(self.b(x))


def test_a_model_that_cannot_be_traced():
    model = Untraceable()
    pruner = prune_(model, Recipe())
    assert list(pruner.targets) == ["a.weight", "b.weight"]
    assert pruner.dense == {"head.weight": "classifier (prune_classifier=True prunes it)"}
    assert pruner.sparsity == 0.5


class Remembering(nn.Module):
    """Keeps its last activation, as many research models do."""

    def __init__(self):
        super().__init__()
        self.a, self.head, self.last = nn.Linear(8, 8), nn.Linear(8, 2), None

    def forward(self, x):
        self.last = self.a(x)
        return self.head(self.last)


@pytest.mark.parametrize("run", [False, True])
def test_a_model_that_stores_tensors_is_not_touched(run):
    model = Remembering()
    if run:
        model(torch.randn(2, 8))
    held = model.last
    pruner = prune_(model, Recipe())
    assert model.last is held
    assert list(pruner.targets) == ["a.weight"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_compiled_models(when):
    model = small_model()
    compiled = torch.compile(model, backend="eager")
    x = torch.randn(2, 4, 8, 8)
    if when == "after":
        compiled(x)
    pruner = prune_(compiled, Recipe(structure=Filters(), allocation=Uniform()))
    assert pruner.model is model
    assert set(pruner.masks) <= set(dict(model.named_parameters()))
    compiled.eval()
    assert torch.equal(compiled(x), model(x))
    assert not bool(model[:2](x)[:, ~pruner.masks["1.bias"]].any())
    optimizer = sgd(compiled)
    compiled.train()
    for batch in small_batches(2):
        step(compiled, optimizer, batch)
        pruner.step()
    assert all(not bool(model.get_parameter(n)[~m].any()) for n, m in pruner.masks.items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_that_moved_takes_its_masks_along():
    pruner = prune_(small_model(), Recipe())
    pruner.model.cuda()
    pruner.apply()
    assert {m.device.type for m in pruner.masks.values()} == {"cuda"}


def test_a_model_that_changed_its_dtype():
    pruner = prune_(small_model(), Recipe())
    pruner.model.double()
    with torch.no_grad():
        pruner.model[0].weight.add_(1)
    pruner.apply()
    assert int((pruner.model[0].weight == 0).sum()) == int((~pruner.masks["0.weight"]).sum()) > 0


@pytest.mark.parametrize("allocation", [Uniform(), Global(), StdThreshold()], ids=repr)
def test_diverged_weights_are_told(allocation):
    model = small_model()
    with torch.no_grad():
        model[3].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(RuntimeError, match=r"a score is not a number \(NaN\): the weights or gradients have diverged"):
        prune_(model, Recipe(allocation=allocation))


def test_averages_stay_sparse():
    model = small_model()
    optimizer = sgd(model)
    ema = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5), use_buffers=True
    )
    pruner = Pruner(model, Recipe(schedule=RAMP))
    for batch in small_batches(9):
        step(model, optimizer, batch)
        pruner.step()
        ema.update_parameters(model)
        pruner.apply(ema)
        for name, mask in pruner.masks.items():
            assert not bool(ema.module.get_parameter(name)[~mask].any())
    assert bool(ema.module[0].weight.any())


def test_replacing_a_part_of_the_recipe_makes_another_pruner():
    recipe = Recipe(schedule=OneShot(sparsity=0.3))
    assert Pruner(small_model(), dc.replace(recipe, structure=Filters())).recipe.schedule == recipe.schedule
