"""What usually breaks structured pruning: shrunken, or left with a clear reason."""

from __future__ import annotations

import hazards
import nets
import pytest
import torch
from hazards import HAZARDS, WEIGHT_NORMS
from shrinks import half, shrink_and_check
from torch import nn

from secateur.graph.groups import find_groups
from secateur.graph.shrink import shrink_

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


@pytest.mark.parametrize("name", HAZARDS)
def test_half_of_everything(name: str) -> None:
    make, x, cut = HAZARDS[name]
    model = nets.built(make, x)
    shrunk = shrink_and_check(model, x, half(find_groups(model, x)), least=0)
    assert sorted(shrunk.cut) == sorted(cut), shrunk


def test_pairs_of_interleaved_rotary_positions() -> None:
    model, x = nets.built(hazards.Interleaved, nets.tokens()), nets.tokens()
    pairs = next(g for g in find_groups(model, x).of("frequency"))
    assert pairs.units == 4
    values = next(g for g in find_groups(model, x).prunable if g.units == 8)
    both = {pairs.name: [0, 2], values.name: [0, 1, 2, 3]}
    assert shrink_and_check(model, x, both, keep=True).cut == {pairs.name: 2, values.name: 4}
    alone = shrink_and_check(model, x, {pairs.name: [0, 2]}, least=0)  # one attribute holds the size of keys and of values
    assert "no value of size fits all that forward makes of it (hazards.py:" in alone.kept[pairs.name]


def test_another_way_through_forward_is_taken_where_it_comes_to_the_same() -> None:
    """With one query a key there is nothing to repeat."""
    model, x = nets.built(hazards.Repeated, hazards.SEQUENCE), hazards.SEQUENCE
    queries = next(
        g for g in find_groups(model, x).prunable if g.units == 2 and "k.weight" not in {m.parameter for m in g.members}
    )
    assert shrink_and_check(model, x, {queries.name: [1]}).cut == {queries.name: 1}
    assert (model.times, model.q.out_features) == (1, 6)


def test_every_second_channel_needs_its_neighbour() -> None:
    model = nets.built(hazards.Alternating, hazards.VECTORS)
    shrunk = shrink_and_check(model, hazards.VECTORS, {"a": [0, 1]}, least=0)
    assert shrunk.cut == {}
    assert "a slice takes one of every 2 indices (hazards.py:" in shrunk.kept["a"]


def test_a_part_whose_size_is_an_attribute() -> None:
    """``x[:, :part]`` and ``x[:, -part:]``: the same number at both ends, or none."""
    model, x = nets.built(hazards.Halved, hazards.VECTORS), hazards.VECTORS
    first, middle, last = (g.name for g in find_groups(model, x).prunable if any(m.parameter == "a.weight" for m in g.members))
    assert shrink_and_check(model, x, {middle: [0, 1, 2]}, keep=True).cut == {middle: 3}
    assert shrink_and_check(model, x, {first: [0], last: [2]}, keep=True).cut == {first: 1, last: 1}
    alone = shrink_and_check(model, x, {first: [0]}, least=0)
    assert "part fits all that forward makes of it (hazards.py:" in alone.kept[first]


def test_channels_by_number_hold_those_before_them() -> None:
    """The second is left where it is only while the two before it are; the last but one, while the last is."""
    model, x = nets.built(hazards.Lookup, hazards.VECTORS), hazards.VECTORS
    groups = find_groups(model, x)
    free = next(g for g in groups.prunable)
    assert next(m for m in free.members if m.parameter == "a.weight").indices.tolist() == [3, 4, 5, 6, 7, 8, 9]
    held = {g.reason for g in groups.of("a.weight", 0) if not g.prunable}
    assert any("forward fixes its size to 2 (hazards.py:" in why for why in held)
    assert shrink_and_check(model, x, {free.name: [0, 3, 6]}).cut == {free.name: 3}


@pytest.mark.parametrize("name", WEIGHT_NORMS)
def test_a_normed_weight_stays_and_its_neighbours_go(name: str) -> None:
    model, x = hazards.Normed(WEIGHT_NORMS[name]).eval(), hazards.VECTORS
    groups = find_groups(model, x)
    held = [g for g in groups if any(m.parameter.startswith(("a.", "b.")) for m in g.members)]
    reasons = {g.reason for g in held if not g.reason.startswith("size of dimension 1 of the input")}
    assert all(r.startswith("a weight norm divides by the length of its slices (hazards.py:") for r in reasons)
    assert shrink_(model, x, half(groups)).cut == {"c": 3}
    assert model(x).shape == (2, 3)


def test_a_spectral_norm_follows() -> None:
    model, x = hazards.Normed(torch.nn.utils.parametrizations.spectral_norm).eval(), hazards.VECTORS
    shrunk = shrink_and_check(model, x, pickles=False)
    assert shrunk.cut == {"a": 5, "b.parametrizations.weight": 4, "c": 3}
    assert model.b.weight.shape == (4, 5)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_stay_and_the_rest_goes(kind: type[nn.RNNBase]) -> None:
    model, x = nets.built(lambda: hazards.Recurrent(kind), hazards.SEQUENCE), hazards.SEQUENCE
    groups = find_groups(model, x)
    name = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn_tanh"}[kind.__name__]
    for parameter, dim in [("before.weight", 0), ("rnn.weight_hh_l0", 1), ("after.weight", 1)]:
        group = groups.of(parameter, dim)[0]
        assert f"no rule for the operation 'aten.{name}.input' (hazards.py:" in group.reason
    assert shrink_and_check(model, x, half(groups)).cut == {"after": 5}


def test_pytorchs_attention_stays_and_says_so() -> None:
    model, x = nets.built(nets.Attention, torch.randn(2, 4, 5)), torch.randn(2, 4, 5)
    groups = find_groups(model, x)
    for parameter in ("embed.weight", "attention.in_proj_weight", "attention.out_proj.weight", "out.weight"):
        reasons = {g.reason for dim in (0, 1) for g in groups.of(parameter, dim)}
        assert any("multi_head_attention_forward takes one size for queries, keys, values and result" in r for r in reasons)


def test_pytorchs_encoder_layer_loses_its_inner_neurons() -> None:
    """Its attention holds the width; the two linear layers behind are free, and so is what comes after."""
    model, x = nets.built(hazards.Encoder, hazards.SEQUENCE), hazards.SEQUENCE
    groups = find_groups(model, x)
    assert "multi_head_attention_forward" in groups.of("embed.weight", 0)[0].reason
    assert shrink_and_check(model, x, half(groups)).cut == {"layer.linear1": 10, "mid": 4}


def test_unequal_parts_of_a_shuffle_go_in_equal_numbers() -> None:
    model, x = nets.built(nets.Shuffle, nets.images(6)), nets.images(6)
    groups = find_groups(model, x)
    stem = [g.name for g in groups.prunable if any(m.parameter == "stem.weight" and m.dim == 0 for m in g.members)]
    shrunk = shrink_and_check(model, x, {n: list(range(1 + k)) for k, n in enumerate(stem)}, least=0)
    assert all(n in shrunk.cut or n in shrunk.kept for n in stem)


def test_different_numbers_for_heads_that_share_an_attribute() -> None:
    """Two blocks with an attribute each may differ; one attribute for both may not."""
    model, x = (
        nets.built(lambda: nn.Sequential(Head(), Head(), nn.Linear(8, 2)), hazards.SEQUENCE[..., :1].expand(-1, -1, 8)),
        None,
    )
    x = torch.randn(2, 4, 8)
    names = [g.name for g in find_groups(model, x).prunable if g.units == 4]
    assert len(names) == 2
    assert shrink_and_check(model, x, {names[0]: [0], names[1]: [0, 1]}).cut == {names[0]: 1, names[1]: 2}
    assert [m.heads for m in model[:2]] == [3, 2]


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads, self.qkv, self.o = 4, nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return x + self.o(((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))
