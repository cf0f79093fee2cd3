from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import ModelError
from secateur.core.layers import find_targets, unwrap
from secateur.testing import small_model


def names(model, **how):
    targets, dense, _ = find_targets(model, **how)
    return [t.name for t in targets], dense


def test_the_classifier_stays_dense_and_says_so():
    found, dense = names(small_model())
    assert found == ["0.weight", "3.weight", "8.weight"]
    assert dense == {"10.weight": "classifier (prune_classifier=True prunes it)"}
    assert names(small_model(), prune_classifier=True) == ([*found, "10.weight"], {})


def test_include_and_exclude_go_by_pattern():
    found, dense = names(small_model(), exclude=["0.*"])
    assert (found, dense["0.weight"]) == (["3.weight", "8.weight"], "excluded by name")
    assert names(small_model(), include=["10.*"])[0] == ["0.weight", "3.weight", "8.weight", "10.weight"]
    assert names(small_model(), include=["*"], exclude=["0.*"])[0] == ["3.weight", "8.weight", "10.weight"]


def test_a_pattern_that_matches_nothing():
    with pytest.raises(ModelError) as e:
        names(small_model(), exclude=["fc*"])
    assert str(e.value) == (
        "the pattern 'fc*' matches no parameter; the model has "
        "0.weight, 0.bias, 1.weight, 1.bias, 3.weight, 4.weight, 4.bias, 8.weight, …"
    )


def test_nothing_left():
    with pytest.raises(ModelError) as e:
        names(small_model(), exclude=["*"])
    assert str(e.value).startswith("nothing is left to prune: 0.weight: excluded by name; ")
    with pytest.raises(ModelError, match="the model has no weight of two dimensions or more"):
        names(nn.BatchNorm2d(4))


class Odd(nn.Module):
    """Everything that is not a plain layer."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(10, 8)
        self.positions = nn.Parameter(torch.zeros(4, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm([4, 8])
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 10)
        self.head.weight = self.tokens.weight

    def forward(self, x):
        x = self.tokens(x) + self.positions
        x = self.norm(x + self.attention(x, x, x)[0])
        return self.head(self.rnn(x)[0])


def test_what_is_not_a_layer_of_its_own():
    found, dense = names(Odd())
    assert found == ["attention.in_proj_weight", "attention.out_proj.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0"]
    assert set(dense) == {"tokens.weight", "positions", "norm.weight", "norm.bias"}
    assert dense["norm.weight"] == "normalisation"
    assert dense["positions"] == "not a layer's weight (include it by name to prune it)"


@pytest.mark.parametrize("how", [{}, {"prune_classifier": True}])
def test_tied_embeddings_stay_dense_unless_named(how):
    found, _ = names(Odd(), **how)
    assert "tokens.weight" not in found
    assert "head.weight" not in found
    assert "tokens.weight" in names(Odd(), include=["head.weight"])[0]


def test_what_follows_an_output():
    targets = {t.name: t for t in find_targets(small_model())[0]}
    assert targets["0.weight"].followers == ("0.bias", "1.weight", "1.bias")
    assert targets["3.weight"].followers == ("4.weight", "4.bias")
    assert targets["8.weight"].followers == ("8.bias",)
    assert [t.kernel for t in targets.values()] == [True, True, False]


def test_transposed_layers():
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, 2), nn.BatchNorm2d(5), nn.Conv2d(5, 1, 1))
    (target,) = find_targets(model)[0]
    assert (target.shape, target.transposed, target.followers) == ((5, 3, 2, 2), True, ("0.bias", "1.weight", "1.bias"))


def test_wrappers_are_looked_through():
    model = small_model()
    compiled = torch.compile(model, backend="eager")
    averaged = torch.optim.swa_utils.AveragedModel(model)
    assert unwrap(compiled) is model
    assert unwrap(nn.DataParallel(compiled)) is model
    assert unwrap(averaged) is averaged.module
    assert unwrap(model) is model
