from __future__ import annotations

import nets
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.core.errors import ModelError
from secateur.graph.explain import explain
from secateur.graph.groups import Groups, find_groups, tied_names
from secateur.training.models import LeNet5, ResNet


def places(groups: Groups, name: str) -> dict[str, str]:
    """``parameter[dim]`` to role, of one group."""
    return {f"{m.parameter}[{m.dim}]": m.role for m in groups[name].members}


def test_a_convolution_with_its_norm_and_the_columns_of_a_flatten() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 2))
    groups = find_groups(net, torch.zeros(1, 1, 4, 4))
    assert places(groups, "0") == {
        "0.weight[0]": "producer",
        "0.bias[0]": "carrier",
        "1.weight[0]": "carrier",
        "1.bias[0]": "carrier",
        "1.running_mean[0]": "carrier",
        "1.running_var[0]": "carrier",
        "4.weight[1]": "consumer",
    }
    columns = groups["0"].members[-1]
    assert (columns.each, columns.run) == (4, 4)
    assert columns.of(1).tolist() == [4, 5, 6, 7]


def test_heads_and_what_is_inside_them() -> None:
    groups = find_groups(nets.ViT(width=16, heads=4), nets.images(8))
    inside, heads = groups["qkv"], groups["qkv#2"]
    assert (inside.units, heads.units) == (4, 4)
    rows = next(m for m in heads.members if m.parameter == "qkv.weight")
    assert rows.of(1).tolist() == [4, 5, 6, 7, 20, 21, 22, 23, 36, 37, 38, 39]
    assert (rows.each, rows.run) == (12, 4)
    assert places(groups, "qkv#2") == {"qkv.weight[0]": "producer", "qkv.bias[0]": "carrier", "proj.weight[1]": "consumer"}
    assert heads.crosses[0] == "qkv"
    assert next(m for m in inside.members if m.parameter == "proj.weight").of(2).tolist() == [2, 6, 10, 14]


def test_a_key_head_takes_all_its_queries_along() -> None:
    groups = find_groups(nets.GQA(heads=4, kv=2, head=6), nets.tokens())
    kv = next(g for g in groups.of("v.weight", 0) if g.units == 2)
    owned = {m.parameter: m.of(1).tolist() for m in kv.members}
    assert owned["k.weight"] == owned["v.weight"] == list(range(6, 12))
    assert owned["q.weight"] == owned["o.weight"] == list(range(12, 24))


def test_rotary_halves_go_in_pairs() -> None:
    groups = find_groups(nets.GQA(heads=4, kv=2, head=6), nets.tokens())
    pairs = groups.of("frequency")[0]
    assert pairs.units == 3
    assert next(m for m in pairs.members if m.parameter == "k.weight").of(1).tolist() == [1, 4, 7, 10]
    assert not {m.parameter for m in pairs.members} & {"v.weight", "o.weight"}


def test_padded_shortcuts_tie_the_middle_channels_of_stages() -> None:
    """Option A: stage 2 has the 4 channels of stage 1 in its middle, and 2 of its own on each side."""
    groups = find_groups(ResNet(20, width=0.25), nets.images(8))
    tied = groups["conv1"]
    assert tied.units == 4
    head = {g.name: next(m for m in g.members if m.parameter == "linear.weight") for g in groups.of("linear.weight", 1)}
    assert head.pop("conv1").indices.tolist() == [6, 7, 8, 9]
    assert [(groups[name].units, sorted(m.indices.tolist())) for name, m in head.items()] == [
        (4, [4, 5, 10, 11]),
        (8, [0, 1, 2, 3, 12, 13, 14, 15]),
    ]


def test_tied_weights_are_one() -> None:
    net = nets.Tied()
    groups = find_groups(net, nets.tokens())
    assert tied_names(net)["head.weight"] == "embed.weight"
    assert dict(groups.tied) == {"head.weight": "embed.weight"}
    assert [m.role for m in groups["embed#2"].members if m.parameter == "embed.weight"] == ["both"]
    assert not groups.of("head.weight", 0)[0].prunable
    # the layer used twice has one group on each of its sides, the output of one use being the input of the next
    assert groups.of("block.weight", 1) == (groups["embed#2"],)


def test_inputs_and_outputs_stay_and_say_so() -> None:
    groups = find_groups(nets.mlp(), torch.zeros(2, 7))
    assert groups["4"].reason == "an output of the model"
    assert groups.of("0.weight", 1)[0].reason == "size of dimension 1 of the input 'input'"
    assert [g.name for g in groups.prunable] == ["0", "2"]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.lstm, self.after = nn.Linear(4, 6), nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.lstm(self.before(x))[0])


def test_an_operation_without_a_rule_holds_what_it_touches_and_is_named() -> None:
    groups = find_groups(Recurrent(), torch.zeros(2, 3, 4))
    assert not groups.prunable
    assert [name for name, _ in groups.unknown] == ["aten.lstm"]
    assert "no rule for the operation 'aten.lstm.input'" in groups["before"].reason
    assert "test_groups.py" in groups["before"].reason
    assert "held because there is no rule for: aten.lstm" in str(groups)


class Channels(nn.Module):
    """Something over the channels of a hidden layer."""

    def __init__(self, over: str) -> None:
        super().__init__()
        self.over, self.a, self.b = over, nn.Linear(3, 8), nn.Linear(8, 2)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        match self.over:
            case "softmax":
                x = x.softmax(-1)
            case "maximum":
                x = x - x.amax(-1, keepdim=True)
            case "mean":
                x = x - x.mean(-1, keepdim=True)
            case "bare norm":
                x = F.layer_norm(x, (8,))
            case "sorted":
                x = x.sort(-1).values
            case "constant":
                x = x * torch.arange(8)
            case "number":
                x = x + x[:, 3:4] * x[:, 3, None]
            case "rolled":
                x = x + x.roll(1, -1)
            case "rms":
                x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
            case "sum":
                x = x * x.sum(-1, keepdim=True)
            case "norm":
                x = F.layer_norm(x, (8,), self.scale)
            case "sigmoid":
                x = torch.sigmoid(x)
            case "gated":
                x = x * torch.sigmoid(x)
            case "sum of sigmoids":
                x = x * torch.sigmoid(x).sum(-1, keepdim=True)
            case "product of exponentials":
                x = x * (x.exp() @ self.scale.exp())[:, None]
        return self.b(x)


@pytest.mark.parametrize("over", ["softmax", "maximum", "mean", "bare norm", "sorted", "constant", "rolled"])
def test_what_needs_all_channels_pins_them(over: str) -> None:
    group = find_groups(Channels(over), torch.zeros(2, 3)).of("a.weight", 0)[0]
    assert not group.prunable
    assert "test_groups.py" in group.reason or "constant" in group.reason


def test_a_channel_picked_by_number_stays_and_the_others_do_not() -> None:
    held = [g for g in find_groups(Channels("number"), torch.zeros(2, 3), as_graph=True).of("a.weight", 0) if not g.prunable]
    assert [g.members[0].indices.tolist() for g in held] == [[3]]
    # in Python it is the fourth as long as three stand before it
    held = [g for g in find_groups(Channels("number"), torch.zeros(2, 3)).of("a.weight", 0) if not g.prunable]
    assert [g.members[0].indices.tolist() for g in held] == [[0, 1, 2], [3]]
    assert "forward fixes its size to 3 (test_groups.py:" in held[0].reason


@pytest.mark.parametrize("over", ["rms", "norm"])
def test_norms_let_channels_go_but_note_the_mean(over: str) -> None:
    group = find_groups(Channels(over), torch.zeros(2, 3), as_graph=True)["a"]
    assert group.prunable
    assert len(group.statistics) == 1
    assert {m.parameter for m in group.members} == {"a.weight", "a.bias", "scale", "b.weight"}


def test_a_size_in_the_source_holds_its_channels() -> None:
    group = find_groups(Channels("norm"), torch.zeros(2, 3))["a"]
    assert group.reason.startswith("forward fixes its size to 8 (test_groups.py:")
    said = explain(Channels("norm"), torch.zeros(2, 3), "a.weight")
    assert "a.weight, dimension 0 of size 8: stays, because forward fixes its size to 8 (test_groups.py:" in str(said)
    assert not said.prunable


def test_a_sum_lets_channels_go() -> None:
    group = find_groups(Channels("sum"), torch.zeros(2, 3))["a"]
    assert group.prunable
    assert not group.statistics


def test_a_constant_that_zeros_leave_behind_is_noted_where_weights_take_it_in() -> None:
    leaky = find_groups(Channels("sigmoid"), torch.zeros(2, 3))["a"]
    assert leaky.prunable
    assert len(leaky.leaks) == 1
    assert leaky.leaks[0].startswith("aten.linear (test_groups.py:")
    assert not find_groups(Channels("gated"), torch.zeros(2, 3))["a"].leaks


@pytest.mark.parametrize("over", ["sum of sigmoids", "product of exponentials"])
def test_a_constant_that_is_added_up_pins_its_channels(over: str) -> None:
    group = find_groups(Channels(over), torch.zeros(2, 3)).of("a.weight", 0)[0]
    assert "not zero without it" in group.reason


def test_copies_of_queries_are_not_silenced_by_their_weights_alone() -> None:
    """A query head of zeros still averages the values: only the output projection can let go of it."""
    groups = find_groups(nets.GQA(heads=4, kv=2, head=6), nets.tokens())
    copies = next(g for g in groups.of("q.weight", 0) if "k.weight" not in {m.parameter for m in g.members})
    assert copies.leaks


def test_a_parameter_that_forward_does_not_use() -> None:
    groups = find_groups(Channels("sum"), torch.zeros(2, 3))
    assert groups.of("scale")[0].reason == "forward does not use it"


def test_a_model_without_storage_is_enough() -> None:
    with torch.device("meta"):
        net = nets.ResNet((1, 1), 8, 10)
    groups = find_groups(net, torch.zeros(1, 3, 32, 32, device="meta"))
    real = find_groups(nets.ResNet((1, 1), 8, 10), torch.zeros(1, 3, 32, 32))
    assert str(groups) == str(real)


def test_every_index_of_every_unit_is_in_range_and_owned_once() -> None:
    for net, x in [(nets.ResNet((1, 1), 8, 10), nets.images(32)), (nets.GQA(), nets.tokens()), (nets.Shuffle(), nets.images(6))]:
        groups = find_groups(net, x)
        for g in groups:
            for m in g.members:
                assert len(m.starts) == g.units + 1
                assert len(np.unique(m.indices)) == len(m.indices)
                assert m.indices.max() < groups.shapes[m.parameter][m.dim]


def test_a_group_by_a_name_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="no group is called 'fc3'; did you mean 'fc2'"):
        find_groups(LeNet5(), torch.zeros(1, 1, 28, 28))["fc3"]


def test_the_table_says_what_is_tied_and_why() -> None:
    text = str(find_groups(LeNet5(), torch.zeros(1, 1, 28, 28)))
    assert "3 of 4 groups can be pruned" in text
    assert "fc1.weight[1] x16" in text
    assert "no: an output of the model" in text


def test_explain_names_partners_operations_and_places() -> None:
    text = str(explain(nets.SqueezeExcite(), nets.images(6), "conv"))
    assert "conv.weight, dimension 0 of size 8: 8 units can be pruned" in text
    assert "tied to: up.weight[0], conv.bias[0], norm.weight[0]" in text
    assert "aten.mul (nets.py:" in text
    assert "conv.weight, dimension 1 of size 3: stays, because size of dimension 1 of the input 'x'" in text


def test_explain_of_a_tied_weight() -> None:
    said = explain(nets.Tied(), nets.tokens(), "head.weight")
    assert said.prunable
    assert said.lines[0] == "head.weight is the same tensor as embed.weight"


def test_explain_of_a_name_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="no parameter or module is called 'cnv'; did you mean 'conv'"):
        explain(nets.SqueezeExcite(), nets.images(6), "cnv")


@pytest.mark.filterwarnings("ignore")
def test_a_subgraph_under_autocast_is_walked() -> None:
    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = F.relu(self.a(x)) * 2
            return self.b(y.float())

    groups = find_groups(Cast(), torch.zeros(2, 3))
    assert not groups.unknown
    assert places(groups, "a") == {"a.weight[0]": "producer", "a.bias[0]": "carrier", "b.weight[1]": "consumer"}
