"""First-order estimates of single examples, weight by weight and of a gate on a unit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from secateur import DataError, Pruner, Recipe, RecipeError, prune_
from secateur.allocation import Global
from secateur.core.statistics import Statistics
from secateur.methods import taylor_fo
from secateur.score import Snip, Taylor
from secateur.structure import NM, Filters, Weights
from secateur.testing import small_batches, small_model

GATED = Filters(reduce="abs_sum", members="consumers")


def test_the_product_with_and_without_its_sign():
    weight, statistics = torch.tensor([[2.0, -3.0]]), Statistics(name="w", gradient=torch.tensor([[-1.0, 0.5]]))
    assert Taylor()(weight, statistics).tolist() == [[2.0, 1.5]]
    assert Taylor(signed=True)(weight, statistics).tolist() == [[-2.0, -1.5]]
    assert weight.tolist() == [[2.0, -3.0]]
    with pytest.raises(DataError, match="needs the gradient of each example"):
        Taylor()(weight, Statistics(name="w"))


def kept(pruner, name):
    return pruner.masks[name].flatten(1).any(1).nonzero().flatten().tolist()


def gates(model, x, y, layer):
    """E_x |∂L(x)/∂ξ| for a gate ξ on each output of a layer (after which nothing but what is named reads it), by autograd."""
    found = []
    for i in range(len(x)):
        xi = torch.ones(model[layer].num_features, dtype=x.dtype, requires_grad=True)
        handle = model[layer].register_forward_hook(lambda _, __, out, xi=xi: out * xi.view(1, -1, 1, 1))
        loss = nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        handle.remove()
        found.append(torch.autograd.grad(loss, xi)[0].abs())
    return torch.stack(found).mean(0)


def test_over_what_reads_a_filter_it_is_the_gate_behind_the_batch_norm():
    model = small_model().double().eval()
    g = torch.Generator().manual_seed(5)
    for norm in (model[1], model[4]):
        norm.running_mean.normal_(generator=g)
        norm.running_var.uniform_(0.5, 2, generator=g)
        norm.weight.data.uniform_(-1, 2, generator=g)
        norm.bias.data.uniform_(0, 2, generator=g)
    data = [(x.double(), y) for x, y in small_batches(2)]
    x, y = (torch.cat(part) for part in zip(*data, strict=True))
    wanted = gates(model, x, y, 1)
    assert len(set(wanted.tolist())) == 8
    assert float(wanted.min()) > 0
    for share in (0.25, 0.5, 0.75):
        recipe = Recipe(structure=GATED, score=Taylor(signed=True), include=("0",), exclude=("3", "8"))
        pruner = Pruner(copy_of(model), recipe, example_inputs=x[:2], data=data).prune(share)
        count = round(8 * (1 - share))
        assert kept(pruner, "0.weight") == wanted.topk(count).indices.sort().values.tolist()


def copy_of(model):
    other = small_model().to(next(model.parameters()).dtype).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_signs_cancel_within_a_unit_and_not_between_examples():
    """Two examples whose gradients are opposite: the mean gradient is 0, and the mean of absolute values is not."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[2].weight.copy_(torch.tensor([[1.0, 0.1], [-1.0, -0.1]]))
    x, y = torch.ones(2, 2), torch.tensor([0, 1])

    def loss(model, batch):
        return (model(batch[0])[:, 0] * (1 - 2.0 * batch[1])).sum()

    def scores_of(score):
        pruner = prune_(copy_of_net(model), Recipe(score=score), data=[(x, y)], loss=loss)
        return pruner.masks["0.weight"].tolist()

    # sums over the batch are all 0: ties go by index; example by example neuron 0 matters ten times as much
    assert scores_of(Taylor()) == [[True, False], [False, True]]
    assert scores_of(Snip()) == [[True, True], [False, False]]


def copy_of_net(model):
    other = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 2, bias=False))
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.parametrize(
    ("structure", "signed", "why"),
    [
        (NM(), False, "it is averaged over examples, and each has other weights that are safe in a group"),
        (Weights(), True, "its scores have signs, which only reduce='abs_sum' adds up"),
        (Filters(), True, "its scores have signs, which only reduce='abs_sum' adds up"),
    ],
    ids=["nm", "weights", "filters"],
)
def test_what_it_does_not_go_with(structure, signed, why):
    with pytest.raises(RecipeError) as e:
        Recipe(structure=structure, score=Taylor(signed=signed))
    assert f"score 'taylor' does not go with structure '{structure.name}': {why};" in str(e.value)
    Recipe(structure=GATED, score=Taylor(signed=True))


def test_the_method_prunes_equally_much_at_each_event():
    model, data = small_model(), small_batches(1)
    recipe = taylor_fo(sparsity=0.6, end=6, every=2)
    assert recipe.allocation == Global()
    pruner, found = Pruner(model, recipe, example_inputs=data[0][0][:2], data=data), []
    for _ in range(7):
        pruner.step()
        found.append(round(pruner.sparsity, 1))
    assert found == [0.0, 0.2, 0.2, 0.4, 0.4, 0.6, 0.6]
