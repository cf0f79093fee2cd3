"""Units that pruning left without effect are found by their zeros, and no others."""

from __future__ import annotations

import copy

import nets
import pytest
import torch
from shrinks import assert_same, distance, other_batch, run, snapshot
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.graph.shrink import Shrunk, shrink_


def zero(*where: tuple[Tensor, int | list[int]]) -> None:
    """Rows set to zero."""
    with torch.no_grad():
        for tensor, rows in where:
            tensor[rows] = 0


def shrink_zeros(model: nn.Module, x: Tensor, **options: bool) -> Shrunk:
    """Shrink by the model's own zeros; nothing of what it computes changes."""
    dense = copy.deepcopy(model).double()
    small = copy.deepcopy(model).double()
    shrunk = shrink_(small, x.double() if x.is_floating_point() else x, **options)
    for inputs in (x, other_batch(x)):
        assert distance(run(small, inputs), run(dense, inputs)) < 1e-10
    single = shrink_(model, x, **options)
    assert (single.cut, single.kept) == (shrunk.cut, shrunk.kept)
    assert distance(run(copy.deepcopy(model).double(), x), run(dense, x)) < 1e-5
    return shrunk


def conv_net(padding: int = 0) -> nn.Sequential:
    size = 4 + 2 * padding
    first = [nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nets.randomise(nn.Sequential(*first, nn.Conv2d(8, 6, 3, padding=padding), nn.Flatten(), nn.Linear(6 * size * size, 3)))


@pytest.fixture
def net() -> nn.Sequential:
    return conv_net()


def test_rows_with_their_norm_are_cut_and_nothing_else(net: nn.Sequential) -> None:
    zero((net[0].weight, [1, 4]), (net[1].weight, [1, 4]), (net[1].bias, [1, 4]))
    shrunk = shrink_zeros(net, nets.images(8))
    assert shrunk.cut == {"0": 2}
    assert shrunk.kept == {}
    assert net[0].weight.shape == (6, 3, 3, 3)
    assert net[1].num_features == 6


def test_a_norm_alone_can_silence_a_channel(net: nn.Sequential) -> None:
    """As network slimming does: scale and shift zero, the filter alive."""
    zero((net[1].weight, [0, 7]), (net[1].bias, [0, 7]))
    assert shrink_zeros(net, nets.images(8)).cut == {"0": 2}


def test_what_nobody_reads_is_cut(net: nn.Sequential) -> None:
    with torch.no_grad():
        net[3].weight[:, [2, 3]] = 0
    assert shrink_zeros(net, nets.images(8)).cut == {"0": 2}


def test_nothing_zero_nothing_cut(net: nn.Sequential) -> None:
    x, before = nets.images(8), snapshot(net)
    shrunk = shrink_(net, x)
    assert shrunk.cut == shrunk.kept == shrunk.changes == {}
    assert_same(before, snapshot(net))


@pytest.mark.parametrize("make", [nets.ViT, nets.GQA, nets.Dense, nets.Res2, nets.SqueezeExcite, nets.Shuffle])
def test_a_fresh_model_full_of_zero_biases_and_means_stays(make: type[nn.Module]) -> None:
    model = make().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.zero_()
    x = nets.tokens() if make is nets.GQA else nets.images(8)
    before = snapshot(model)
    shrunk = shrink_(model, x, narrow_norms=True)
    assert (shrunk.cut, shrunk.kept) == ({}, {})
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("seed", range(4))
def test_units_dead_by_chance_stay(seed: int) -> None:
    """Of 400 ReLUs many are silent for two examples, some for any two: none of them was pruned."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 400), nn.ReLU(), nn.Linear(400, 400), nn.Hardsigmoid(), nn.Linear(400, 2))
    with torch.no_grad():
        model[0].bias.zero_()
        model[2].bias.fill_(0).sub_(0.001)
        model[2].weight[:40].abs_().mul_(-40)  # never on
        model[2].bias[:40] = 0
    x = torch.randn(2, 5)
    assert bool((model[1](model[0](x)) == 0).all(0).sum() > 20)
    shrunk = shrink_(model, x)
    assert (shrunk.cut, shrunk.kept) == ({}, {})


class OwnReLU(nn.Module):
    """Written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 60, bias=False), nn.Linear(60, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(x * (x > 0))


def test_units_dead_by_chance_in_a_relu_written_by_hand_stay() -> None:
    torch.manual_seed(0)
    model = OwnReLU()
    with torch.no_grad():
        model.b.bias.zero_()
    assert shrink_(model, torch.randn(2, 5)).cut == {}


# ---------------------------------------------------------------- constants


def test_a_constant_goes_into_the_bias_of_a_linear_layer() -> None:
    model = nets.randomise(nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 2)))
    zero((model[0].weight, [2, 5]))  # its bias stays: sigmoid(bias) reaches the next layer
    bias = model[2].bias.detach().clone()
    expected = bias + model[2].weight[:, [2, 5]].detach() @ torch.sigmoid(model[0].bias.detach()[[2, 5]])
    shrunk = shrink_zeros(model, torch.randn(3, 4))
    assert shrunk.cut == {"0": 2}
    torch.testing.assert_close(model[2].bias.detach(), expected)
    assert model[2].bias.dtype == torch.float32


def test_a_constant_goes_into_the_bias_of_a_convolution_without_padding(net: nn.Sequential) -> None:
    zero((net[0].weight, [3]))  # what is left of the channel is its norm's shift
    bias = net[3].bias.detach().clone()
    assert shrink_zeros(net, nets.images(8)).cut == {"0": 1}
    assert not torch.equal(net[3].bias, bias)


def test_a_convolution_that_pads_keeps_the_channel() -> None:
    model = conv_net(padding=1)
    with torch.no_grad():
        model[1].bias[3] = 1.0
        model[1].running_mean[3] = 0.0
    zero((model[0].weight, [3]))
    shrunk = shrink_zeros(model, nets.images(8))
    assert shrunk.cut == {}
    assert shrunk.kept["0"].startswith(
        "the weights of a unit are zero, but what is left of them is constant and is taken in by a"
    )
    assert "pads with zeros" in shrunk.kept["0"]
    assert "prune their bias and norm too" in shrunk.kept["0"]
    zero((model[1].bias, [3]))
    assert shrink_zeros(model, nets.images(8)).cut == {"0": 1}


def test_a_layer_without_a_bias_keeps_the_unit() -> None:
    model = nets.randomise(nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3, bias=False)))
    zero((model[0].weight, [2]))
    shrunk = shrink_zeros(model, torch.randn(3, 4))
    assert shrunk.cut == {}
    assert "taken in by a layer without a bias" in shrunk.kept["0"]


class Wired(nn.Module):
    """A layer used twice, or a bias that two layers share."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.a, self.b, self.c = kind, nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(6, 5)
        self.out = nn.Linear(5, 2)
        if kind == "shared bias":
            self.c.bias = self.b.bias
        if kind == "shared weight":
            self.c.weight = self.b.weight

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.a(x))
        match self.kind:
            case "twice":
                return self.out(self.b(y) * self.b(y))
            case "twice, otherwise":
                return self.out(self.b(y) * self.b(y * 2))
            case "branches":
                return self.out(self.b(y) * self.c(y.tanh()))
            case _:
                return self.out(self.b(y) * self.c(y))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("twice", ""),
        ("branches", ""),
        ("shared weight", ""),
        ("twice, otherwise", "the layer 'b', which is used twice, takes in two values of it"),
        ("shared bias", "is taken in by a layer whose bias others use too"),
    ],
)
def test_constants_of_layers_that_share(kind: str, reason: str) -> None:
    model = nets.randomise(Wired(kind))
    zero((model.a.weight, [1, 4]))
    shrunk = shrink_zeros(model, torch.randn(3, 4))
    assert shrunk.cut == ({} if reason else {"a": 2})
    assert reason in shrunk.kept.get("a", "")
    assert bool(reason) == bool(shrunk.kept)


class Hidden(nn.Module):
    """What zeros leave behind does not only reach a layer's bias."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.a, self.b = kind, nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.sigmoid(self.a(x)) if self.kind != "sum" else torch.tanh(self.a(x))
        if self.kind == "sum":
            return self.b(y * y.sum(-1, keepdim=True))
        return self.b(y * (y @ y.transpose(0, 1)).sum(-1, keepdim=True))


def test_a_sum_over_units_needs_them_to_be_zero() -> None:
    model = nets.randomise(Hidden("sum"))
    zero((model.a.weight, [1]))
    shrunk = shrink_zeros(model, torch.randn(3, 4))
    assert shrunk.cut == {}
    assert "a bias, a norm or another branch gives them values that aten.sum takes in (test_dead.py:" in shrunk.kept["a"]
    zero((model.a.bias, [1]))
    assert shrink_zeros(model, torch.randn(3, 4)).cut == {"a": 1}


def test_columns_of_zeros_are_not_enough_where_more_than_a_layer_reads() -> None:
    model = nets.randomise(Hidden("sum"))
    with torch.no_grad():
        model.b.weight[:, 1] = 0
    assert shrink_zeros(model, torch.randn(3, 4)).cut == {}


# ---------------------------------------------------------------- several producers


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + F.relu(self.conv(x))
        return self.out(x.mean((2, 3)))


def test_a_residual_channel_goes_only_when_all_that_makes_it_is_zero() -> None:
    model = nets.randomise(Block())
    zero((model.conv.weight, [2, 6]), (model.conv.bias, [2, 6]), (model.stem.weight, [6]), (model.stem.bias, [6]))
    shrunk = shrink_zeros(model, nets.images(6))
    assert shrunk.cut == {"stem": 1}
    assert shrunk.kept == {"stem": "a unit is zero in conv.weight but not in stem.weight"}
    assert model.conv.weight.shape == (7, 7, 3, 3)


def test_heads_of_zeros() -> None:
    """Rows of queries, keys and values, or columns of the projection."""
    x = nets.tokens()
    rows, columns = nets.built(nets.GQA, x), nets.built(nets.GQA, x)
    zero((rows.q.weight, list(range(12, 24))), (rows.k.weight, list(range(6, 12))), (rows.v.weight, list(range(6, 12))))
    assert list(shrink_zeros(rows, x).cut.values()) == [1]
    assert (rows.heads, rows.kv, rows.head_dim) == (2, 1, 6)
    with torch.no_grad():
        columns.o.weight[:, :12] = 0
    assert list(shrink_zeros(columns, x).cut.values()) == [1]
    assert (columns.heads, columns.kv, columns.head_dim) == (2, 1, 6)


def test_norms_over_dead_units_hold_them() -> None:
    x = nets.images(8)
    model = nets.built(nets.ConvNeXt, x)
    zero((model.up.weight, [0, 1]), (model.up.bias, [0, 1]))
    zero((model.stem.weight, 3), (model.stem.bias, 3), (model.depth.weight, 3), (model.depth.bias, 3), (model.scale, 3))
    zero((model.norm.weight, 3), (model.norm.bias, 3))
    zero((model.down.weight, 3), (model.down.bias, 3))
    shrunk = shrink_(copy.deepcopy(model), x)
    assert shrunk.cut == {"up": 2}
    assert "averages over its units" in shrunk.kept["stem"]
    assert shrink_(model, x, narrow_norms=True).cut == {"stem": 1, "up": 2}


def test_masks_of_torch_prune_are_zeros_too() -> None:
    from torch.nn.utils import prune

    model, x = nets.randomise(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))), torch.randn(3, 4)
    prune.ln_structured(model[0], "weight", amount=3, n=1, dim=0)
    with torch.no_grad():
        model[0].bias.mul_(model[0].weight_mask.any(1))
        before = model(x)
    assert shrink_(model, x).cut == {"0": 3}
    torch.testing.assert_close(model(x), before)
    assert model[0].weight_mask.shape == model[0].weight_orig.shape == (5, 4)
    assert (model[0].out_features, model[2].in_features) == (5, 5)
    prune.remove(model[0], "weight")
    torch.testing.assert_close(model(x), before)


def test_a_model_without_values_has_no_zeros() -> None:
    with torch.device("meta"):
        model = nets.mlp()
    assert shrink_(model, torch.randn(2, 7, device="meta")).cut == {}
