"""Golden masks on a 4×4 weight (or its convolution), with the arithmetic beside them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import ModelError, Pruner, Recipe, RecipeError, prune_
from secateur.schedule import OneShot
from secateur.structure import NM, Blocks, Filters, Kernels, Weights

W = [
    [9, 1, 2, 8],
    [0.5, 3, 7, 4],
    [6, 5, 1.5, 2.5],
    [0.1, 0.2, 0.3, 0.4],
]


def linear(values=W):
    layer = nn.Linear(len(values[0]), len(values))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(values))
        layer.bias.fill_(1.0)
    return layer


def mask(structure, sparsity, layer=None):
    layer = linear() if layer is None else layer
    recipe = Recipe(structure=structure, schedule=OneShot(sparsity=sparsity))
    found = prune_(layer, recipe).masks["weight"].int().tolist()
    assert (layer.weight != 0).int().tolist() == found
    return found


def test_weights():
    # 16 weights, round(0.5·16) = 8 go: 0.1 0.2 0.3 0.4 0.5 1 1.5 2; 9 8 7 6 5 4 3 2.5 stay
    assert mask(Weights(), 0.5) == [
        [1, 0, 0, 1],
        [0, 1, 1, 1],
        [1, 1, 0, 1],
        [0, 0, 0, 0],
    ]


def test_blocks():
    # means of the 2×2 blocks: (9+1+0.5+3)/4 = 3.375, (2+8+7+4)/4 = 5.25, (6+5+0.1+0.2)/4 = 2.825, (1.5+2.5+0.3+0.4)/4 = 1.175
    assert mask(Blocks(shape=(2, 2)), 0.5) == [
        [1, 1, 1, 1],
        [1, 1, 1, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    # largest of each: 9, 8, 6, 2.5; two of four stay; the sums rank as the means do
    assert mask(Blocks(shape=(2, 2), reduce="max"), 0.5) == mask(Blocks(shape=(2, 2), reduce="sum"), 0.5)


def test_blocks_of_one_column():
    # means of the 4×1 blocks: 3.9, 2.3, 2.7, 3.725; a quarter, one of four, goes: the second
    assert mask(Blocks(shape=(4, 1)), 0.25) == [[1, 0, 1, 1]] * 4


def test_two_of_four():
    # of every four inputs the largest two stay: 9 8 | 7 4 | 6 5 | 0.4 0.3
    assert mask(NM(n=2, m=4), 0.5) == [
        [1, 0, 0, 1],
        [0, 0, 1, 1],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
    ]


def test_two_of_four_half_way():
    # the losers of their groups are 1 2 | 0.5 3 | 1.5 2.5 | 0.1 0.2: round(0.25·16) = 4 go, the smallest of these
    assert mask(NM(n=2, m=4), 0.25) == [
        [1, 0, 1, 1],
        [0, 1, 1, 1],
        [1, 1, 1, 1],
        [0, 0, 1, 1],
    ]


def test_two_of_four_ties():
    # the first of equals is safe
    assert mask(NM(n=2, m=4), 0.5, linear([[1, 1, 1, 1]] * 2)) == [[1, 1, 0, 0]] * 2


def test_filters():
    # row means: 5, 3.625, 3.75, 0.25; half, two of four, go: rows 1 and 3, with their biases
    layer = linear()
    assert mask(Filters(), 0.5, layer) == [[1] * 4, [0] * 4, [1] * 4, [0] * 4]
    assert layer.bias.tolist() == [1, 0, 1, 0]


def conv():
    """2 filters of 2 kernels of 2×2: the same sixteen numbers, a row of W a kernel."""
    layer = nn.Conv2d(2, 2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(W).view(2, 2, 2, 2))
    return layer


def test_kernels():
    # kernel means are W's row means: 5, 3.625 | 3.75, 0.25; half go
    assert mask(Kernels(), 0.5, conv()) == [
        [[[1, 1], [1, 1]], [[0, 0], [0, 0]]],
        [[[1, 1], [1, 1]], [[0, 0], [0, 0]]],
    ]


def test_filters_of_a_convolution():
    # filter means: (5 + 3.625)/2 = 4.3125, (3.75 + 0.25)/2 = 2
    ones, zeros = [[1, 1], [1, 1]], [[0, 0], [0, 0]]
    assert mask(Filters(), 0.5, conv()) == [[ones, ones], [zeros, zeros]]


def test_blocks_of_a_convolution():
    # as the matrix [2, 8] the 2×4 blocks have means (5 + 3.75)/2 = 4.375 and (3.625 + 0.25)/2 = 1.9375
    ones, zeros = [[1, 1], [1, 1]], [[0, 0], [0, 0]]
    assert mask(Blocks(shape=(2, 4)), 0.5, conv()) == [[ones, zeros], [ones, zeros]]


def test_groups_lie_along_the_channels_of_a_convolution():
    layer = nn.Conv2d(4, 1, (1, 2))
    with torch.no_grad():  # channels down, positions across
        layer.weight.copy_(torch.tensor([[9.0, 1], [8, 2], [1, 7], [2, 6]]).view(1, 4, 1, 2))
    assert mask(NM(n=2, m=4), 0.5, layer) == [[[[1, 0]], [[1, 0]], [[0, 1]], [[0, 1]]]]


@pytest.mark.parametrize("make", [nn.ConvTranspose2d, None])
def test_layers_stored_the_other_way_round_are_turned(make):
    """Filters of a transposed convolution are its second dimension."""
    if make is None:
        layer = type("Conv1D", (nn.Module,), {})()
        layer.weight, layer.bias = nn.Parameter(torch.tensor(W).t().contiguous()), nn.Parameter(torch.ones(4))
    else:
        layer = make(4, 4, 1)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(W).t().view(4, 4, 1, 1))
            layer.bias.fill_(1)
    prune_(layer, Recipe(structure=Filters()))
    assert (layer.weight != 0).int().view(4, 4).t().tolist() == [[1] * 4, [0] * 4, [1] * 4, [0] * 4]
    assert layer.bias.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("structure", "layer", "reason"),
    [
        (NM(n=2, m=4), nn.Linear(6, 4), "its 6 inputs are no multiple of 4"),
        (Blocks(shape=(8, 1)), nn.Linear(4, 12), "12×4 is not tiled by 8×1 blocks"),
        (Kernels(), nn.Linear(4, 4), "it has no kernels: only convolutions do"),
    ],
    ids=["nm", "blocks", "kernels"],
)
def test_a_layer_that_does_not_fit_stays_dense_and_says_why(structure, layer, reason):
    model = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Flatten(), layer)
    pruner = Pruner(model, Recipe(structure=structure, prune_classifier=True))
    assert (list(pruner.targets), pruner.dense) == (["0.weight"], {"2.weight": reason})
    with pytest.raises(ModelError, match=f"structure '{structure.name}' fits no layer of this model: weight: {reason}"):
        Pruner(layer, Recipe(structure=structure))


def test_more_than_a_structure_can_remove():
    with pytest.raises(RecipeError) as e:
        Recipe(structure=NM(n=1, m=4), schedule=OneShot(sparsity=0.9))
    assert str(e.value) == "structure 'nm' can remove at most 0.75 of a layer; the schedule ends at 0.9; use sparsity=0.75"
    with pytest.raises(RecipeError, match=r"≥ 0 and ≤ 0\.5 for this structure; got 0\.9"):
        Pruner(linear(), Recipe(structure=NM())).prune(0.9)
    with pytest.raises(RecipeError, match=r"n must be < m; got n=4, m=4; e\.g\. NM\(n=2, m=4\)"):
        NM(n=4, m=4)


def test_blocks_want_a_matrix():
    with pytest.raises(RecipeError, match=r"needs a weight of two dimensions or more; got shape \[3\]"):
        Blocks(shape=(1, 1)).count((3,))
