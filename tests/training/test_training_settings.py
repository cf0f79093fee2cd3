from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur.core.errors import RecipeError
from secateur.training import Training


def rates(steps, **settings):
    s = Training(learning_rate=0.8, **settings)
    return [round(s.rate(step, steps), 6) for step in range(steps)]


def test_golden_rates():
    assert rates(4, decay="constant") == [0.8, 0.8, 0.8, 0.8]
    assert rates(4, decay="linear") == [0.8, 0.6, 0.4, 0.2]
    assert rates(4, decay="cosine") == [0.8, 0.682843, 0.4, 0.117157]
    assert rates(8, decay="step") == [0.8, 0.8, 0.8, 0.8, 0.08, 0.08, 0.008, 0.008]
    assert rates(8, decay="constant", warmup=0.5) == [0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8, 0.8]
    assert rates(8, decay="linear", warmup=0.5) == [0.2, 0.4, 0.6, 0.8, 0.8, 0.6, 0.4, 0.2]


@given(
    st.integers(1, 200), st.sampled_from(["constant", "linear", "cosine", "step"]), st.floats(0, 0.999)
)  # a warm-up that ends between two steps must not overshoot
def test_the_rate_is_never_above_its_peak_and_never_negative(steps, decay, warmup):
    s = Training(learning_rate=0.8, decay=decay, warmup=warmup)
    assert all(0 <= s.rate(step, steps) <= 0.8 + 1e-12 for step in range(steps))


@pytest.mark.parametrize(
    ("settings", "examples", "steps"),
    [({"epochs": 2, "batch_size": 50}, 1000, 40), ({"epochs": 1, "batch_size": 300}, 1000, 4), ({"epochs": 0}, 1000, 0),
     ({"epochs": 0.5, "batch_size": 100}, 1000, 5), ({"epochs": 1, "batch_size": 64}, 1, 1)],
)  # fmt: skip
def test_steps_count_the_last_smaller_batch(settings, examples, steps):
    assert Training(**settings).steps(examples) == steps


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"epochs": -1}, "training: epochs must be ≥ 0; got -1"),
        ({"epochs": float("nan")}, "training: epochs must be a finite number; got nan"),
        ({"batch_size": 0}, "training: batch_size must be ≥ 1; got 0"),
        ({"batch_size": 1.5}, "training: batch_size must be a whole number; got 1.5"),
        ({"optimizer": "lion"}, "training: optimizer must be one of sgd, adam, adamw; got 'lion'"),
        ({"learning_rate": 0}, "training: learning_rate must be > 0; got 0"),
        ({"momentum": 1}, "training: momentum must be ≥ 0 and < 1; got 1"),
        ({"weight_decay": -1e-4}, "training: weight_decay must be ≥ 0; got -0.0001"),
        ({"decay": "exp"}, "training: decay must be one of constant, cosine, linear, step; got 'exp'"),
        ({"warmup": 1}, "training: warmup must be ≥ 0 and < 1; got 1"),
        ({"clip": 0}, "training: clip must be > 0; got 0"),
        ({"patience": 0}, "training: patience must be ≥ 1; got 0"),
        ({"augment": 1}, "training: augment must be true or false; got 1"),
        ({"mixed_precision": "fp8"}, "training: mixed_precision must be one of no, fp16, bf16; got 'fp8'"),
        ({"nesterov": True, "optimizer": "adam"}, "training: nesterov needs optimizer 'sgd' with momentum > 0"),
        ({"nesterov": True, "momentum": 0}, "training: nesterov needs optimizer 'sgd' with momentum > 0"),
    ],
)
def test_bounds(settings, sentence):
    with pytest.raises(RecipeError) as e:
        Training(**settings)
    assert str(e.value) == sentence


@pytest.mark.parametrize(
    ("settings", "kind", "values"),
    [
        ({}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": False}),
        ({"nesterov": True, "momentum": 0.5}, torch.optim.SGD, {"momentum": 0.5, "nesterov": True}),
        ({"optimizer": "adam", "weight_decay": 0}, torch.optim.Adam, {"lr": 0.05, "weight_decay": 0.0}),
        ({"optimizer": "adamw", "learning_rate": 1e-3}, torch.optim.AdamW, {"lr": 1e-3, "weight_decay": 5e-4}),
    ],
)
def test_optimizers(settings, kind, values):
    model = torch.nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimizer = Training(**settings).make_optimizer(model)
    assert type(optimizer) is kind
    assert {k: optimizer.defaults[k] for k in values} == values
    assert [p.shape for g in optimizer.param_groups for p in g["params"]] == [(2, 2)]  # what is frozen is left out


def test_file_form():
    assert Training(epochs=3).to_dict(minimal=True) == {"epochs": 3.0}
    assert Training(**Training(epochs=3, patience=2).to_dict()) == Training(epochs=3, patience=2)
