from __future__ import annotations

import copy
import dataclasses as dc
import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import nn

from secateur import Pruner, Recipe
from secateur.core.errors import DataError, RecipeError
from secateur.schedule import OneShot
from secateur.training import Progress, Task, Training, fit
from secateur.training.data import Data, load_data
from secateur.training.data.text import from_text
from secateur.training.loop import mix_seeds
from secateur.training.models import build_model

FAST = Training(epochs=2, batch_size=256)


@pytest.fixture(scope="module")
def digits() -> Task:
    return Task(load_data("digits"))


def weights(model):
    return {n: v.clone() for n, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_digits_above_95_percent(digits):
    torch.manual_seed(0)
    model = build_model("digits_mlp")
    history = fit(model, digits, Training(epochs=12, batch_size=64))
    assert digits.evaluate(model, digits.data.test)["top1"] > 0.95
    assert [row["step"] for row in history] == [20 * (i + 1) for i in range(12)]
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 5
    assert set(history[0]) == {"step", "rate", "train_loss", "validation_loss", "validation_top1", "validation_top5"}


OPTIMIZERS = [
    {},
    {"nesterov": True},
    {"optimizer": "adam", "learning_rate": 0.01},
    {"optimizer": "adamw"},
    {"mixed_precision": "bf16"},
    {"clip": 0.1},
]


@pytest.mark.parametrize("settings", OPTIMIZERS, ids=str)
def test_pruned_weights_stay_exactly_zero(digits, settings):
    model = build_model("digits_mlp")
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.9))).prune()
    before = weights(model)
    fit(model, digits, dc.replace(FAST, **settings), pruner=pruner)
    removed = 0
    for name, mask in pruner.masks.items():
        value = model.get_parameter(name)
        assert not value[~mask].any()
        assert (value[mask] != before[name][mask]).float().mean() > 0.9  # and the others were trained
        removed += int((~mask).sum())
    assert removed == round(0.9 * (64 * 300 + 300 * 100))


def test_bf16_gives_the_model_its_own_forward_back(digits):
    model = build_model("digits_mlp")
    seen = set()
    model.fc1.register_forward_hook(lambda m, i, o: seen.add(o.dtype))
    fit(model, digits, dc.replace(FAST, mixed_precision="bf16"))
    assert seen == {torch.bfloat16}
    assert "forward" not in vars(model)
    seen.clear()
    model(torch.zeros(1, 64))
    assert seen == {torch.float32}
    fit(model, digits, FAST)  # and the next training has its own precision
    assert seen == {torch.float32}
    copy.deepcopy(model)


def test_an_error_gives_the_forward_back_too(digits):
    model = build_model("digits_mlp")

    def keep(step, now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, digits, dc.replace(FAST, mixed_precision="bf16"), keep=keep)
    assert "forward" not in vars(model)


def test_fp16_needs_a_gpu(digits):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RecipeError, match="mixed_precision 'fp16' needs a GPU, and this machine has none; use 'bf16' or 'no'"):
        fit(build_model("digits_mlp"), digits, dc.replace(FAST, mixed_precision="fp16"))


def test_clipping_bounds_a_step(digits):
    """One step of plain SGD moves the weights by rate × norm of the gradient, at most rate × clip."""
    settings = Training(epochs=0.2, batch_size=256, learning_rate=1.0, momentum=0, weight_decay=0, decay="constant")
    assert settings.steps(len(digits.data.train)) == 1
    model = build_model("digits_mlp")
    moved = {}
    for clip in (None, 0.01):
        one = copy.deepcopy(model)
        fit(one, digits, dc.replace(settings, clip=clip))
        moved[clip] = math.sqrt(
            sum(float((a - b).detach().square().sum()) for a, b in zip(one.parameters(), model.parameters(), strict=True))
        )
    assert moved[0.01] == pytest.approx(0.01, rel=1e-3)
    assert moved[None] > 0.1


def test_divergence_is_one_sentence(digits):
    with pytest.raises(
        DataError, match=r"the loss is (nan|inf) at step \d+: training diverged; lower the learning rate or set clip"
    ):
        fit(build_model("digits_mlp"), digits, Training(epochs=3, learning_rate=1e12))


def test_early_stopping_watches_the_validation_split(digits):
    flat = torch.randint(10, digits.data.validation.targets.shape, generator=torch.Generator().manual_seed(0))
    noise = Task(dc.replace(digits.data, validation=dc.replace(digits.data.validation, targets=flat)))
    settings = Training(epochs=30, batch_size=64, patience=2)
    history = fit(build_model("digits_mlp"), noise, settings)
    losses = [row["validation_loss"] for row in history]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 30  # two evaluations without improvement after the best


def test_small_batches_and_a_fraction_of_a_pass(digits):
    history = fit(build_model("digits_mlp"), digits, Training(epochs=0.5, batch_size=100))
    assert [row["step"] for row in history] == [6]
    assert fit(build_model("digits_mlp"), digits, Training(epochs=0)) == []


def test_seeds_decide(digits):
    model = build_model("digits_mlp", dropout=0.5)

    def train(seed):
        one = copy.deepcopy(model)
        torch.rand(3)  # the generator's state before has no say
        fit(one, digits, FAST, seed=seed)
        return weights(one)

    assert same(train(1), train(1))
    assert not same(train(1), train(2))


@hypothesis_settings(max_examples=6)
@given(stop=st.integers(1, 9), optimizer=st.sampled_from(["sgd", "adam", "adamw"]), warmup=st.sampled_from([0.0, 0.33]))
def test_resumed_at_any_step_it_ends_with_the_same_bits(digits, stop, optimizer, warmup):
    settings = Training(epochs=2, batch_size=256, optimizer=optimizer, learning_rate=0.01, warmup=warmup)
    torch.manual_seed(0)
    whole, parted = (build_model("digits_mlp", dropout=0.5) for _ in range(2))
    parted.load_state_dict(whole.state_dict())
    expected = fit(whole, digits, settings, seed=7)
    kept = {}

    def keep(step, now):
        if step == stop:
            kept.update(progress=copy.deepcopy(dc.asdict(now())), model=weights(parted))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(parted, digits, settings, seed=7, keep=keep)
    again = build_model("digits_mlp", dropout=0.5)
    again.load_state_dict(kept["model"])
    assert fit(again, digits, settings, seed=7, progress=Progress(**kept["progress"])) == expected
    assert same(weights(again), weights(whole))


def test_augmentation_is_a_function_of_seed_and_step(digits):
    calls = []

    def augment(inputs, generator):
        calls.append(generator.initial_seed())
        return inputs

    task = Task(dc.replace(digits.data, augment=augment))
    fit(build_model("digits_mlp"), task, FAST, seed=3)
    assert calls == [mix_seeds(3, 3, step, 0) for step in range(10)]
    fit(build_model("digits_mlp"), task, dc.replace(FAST, augment=False), seed=3)
    assert len(calls) == 10


def test_mixed_seeds_are_stable_and_far_apart():
    assert (mix_seeds(0), mix_seeds(0, 1), mix_seeds(1, 0)) == GOLDEN
    assert len({mix_seeds(a, b) for a in range(50) for b in range(50)}) == 2500
    assert all(0 <= mix_seeds(n) < 2**63 for n in (0, 1, 2**62, 10**30))


GOLDEN = (8127835878780362560, 3356496424073963163, 3036069325751621600)


def sentences() -> Data:
    words = ["the", "gardener", "cuts", "the", "dead", "wood", "and", "the", "tree", "grows", "on", ";"]
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(len(words), (900,), generator=generator).tolist()
    return from_text(" ".join(words[i] for i in picks), name="garden", block_size=16)


def test_a_small_gpt_learns_a_few_kilobytes_of_text():
    task = Task(sentences())
    torch.manual_seed(0)
    model = build_model("gpt", vocab_size=task.data.classes, block_size=16, n_layer=1, n_head=2, n_embd=32)
    before = task.evaluate(model, task.data.test)["loss"]
    pruner = Pruner(model, Recipe(schedule=OneShot(sparsity=0.5)))
    settings = Training(epochs=8, batch_size=16, optimizer="adamw", learning_rate=5e-3, warmup=0.1, clip=1.0)
    fit(model, task, settings, pruner=pruner)
    after = task.evaluate(model, task.data.test)
    assert before == pytest.approx(math.log(task.data.classes), abs=0.15)
    assert after["loss"] < 0.7 * before
    assert pruner.sparsity == pytest.approx(0.5, abs=1e-3)
    assert not any(model.get_parameter(n)[~m].any() for n, m in pruner.masks.items())


def test_batch_norm_layers_train(digits):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    fit(model, digits, FAST)
    assert int(model[2].num_batches_tracked) == 10
    assert model.training


def test_the_early_stop_criterion_keeps_the_weights_of_the_least_validation_loss(digits):
    settings = Training(epochs=3, batch_size=256, learning_rate=2.0, validate_every=2)
    model, at = build_model("digits_mlp"), Progress()
    history = fit(model, digits, settings, progress=at)
    assert [row["step"] for row in history] == [2, 4, 6, 8, 10, 12, 14, 15]
    best = min(history, key=lambda row: row["validation_loss"])
    assert (at.best_step, at.best) == (best["step"], best["validation_loss"])
    final = digits.evaluate(model, digits.data.validation)["loss"]
    assert final == history[-1]["validation_loss"]
    model.load_state_dict(at.best_weights)
    assert digits.evaluate(model, digits.data.validation)["loss"] == at.best
    assert at.best <= final


def test_validating_oftener_changes_no_weight_and_keeps_a_copy_only_when_asked(digits):
    models, kept = [build_model("digits_mlp", dropout=0.5) for _ in range(2)], []
    models[1].load_state_dict(models[0].state_dict())
    for model, every in zip(models, (None, 3), strict=True):
        at = Progress()
        fit(model, digits, dc.replace(FAST, validate_every=every), progress=at)
        kept.append(at.best_weights)
    assert same(weights(models[0]), weights(models[1]))
    assert kept[0] is None
    assert kept[1] is not None


def test_patience_counts_evaluations(digits):
    flat = torch.randint(10, digits.data.validation.targets.shape, generator=torch.Generator().manual_seed(0))
    noise = Task(dc.replace(digits.data, validation=dc.replace(digits.data.validation, targets=flat)))
    history = fit(build_model("digits_mlp"), noise, Training(epochs=30, batch_size=64, patience=2, validate_every=1))
    losses = [row["validation_loss"] for row in history]
    assert len(losses) == losses.index(min(losses)) + 3
