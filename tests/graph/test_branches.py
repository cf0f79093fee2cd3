"""Residual branches: found, pruned, and out of the model."""

from __future__ import annotations

import copy

import nets
import pytest
import torch
from torch import nn

import secateur as sc
from secateur.core.errors import ModelError
from secateur.evaluate.macs import count_macs
from secateur.graph.analysis import analyse
from secateur.graph.branches import find_branches
from secateur.graph.skip import skipped
from secateur.schedule import OneShot
from secateur.structure import Layers
from secateur.training.models import VGG16BN, ResNet


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return nets.randomise(ResNet(20, width=0.5))


X = nets.images(16)
INSIDE = ["layer1.0", "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2"]


def test_blocks_that_keep_their_size_are_branches_and_transitions_are_not() -> None:
    model = resnet()
    branches = find_branches(model, X, analyse(model, X))
    assert [b.name for b in branches] == INSIDE
    assert branches[0].parameters == tuple(
        f"layer1.0.{n}" for n in ("conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias")
    )
    assert branches[0].macs == 2 * 8 * 8 * 9 * 16 * 16


def test_a_plain_network_has_none_and_is_refused() -> None:
    model = VGG16BN(width=0.0625)
    assert find_branches(model, nets.images(32), analyse(model, nets.images(32))) == ()
    with pytest.raises(ModelError, match="no residual branch"):
        sc.Pruner(model, sc.Recipe(structure=Layers()), example_inputs=nets.images(32))


def test_layers_need_example_inputs() -> None:
    with pytest.raises(ModelError, match="example_inputs"):
        sc.Pruner(resnet(), sc.Recipe(structure=Layers()))


@pytest.mark.parametrize("members", ["all", "scales"])
def test_a_masked_branch_is_the_identity_and_leaves_the_model(members: str) -> None:
    model = resnet()
    pruner = sc.prune_(model, sc.Recipe(structure=Layers(members=members), schedule=OneShot(sparsity=3 / 7)), example_inputs=X)
    assert len(pruner.plan["layers"]) == 3
    gone = [INSIDE[k] for k in pruner.plan["layers"]]
    assert all(not p.any() for name in gone for p in model.get_submodule(name).parameters())
    masked, predicted = model(X), pruner.preview([], ["macs"])
    assert predicted == []
    left = pruner.preview([3 / 7], ["macs", "params"])[0]
    shrunk = sc.shrink_(model, X)
    assert sorted(shrunk.skipped) == sorted(gone) == sorted(skipped(model))
    assert torch.allclose(model(X), masked, atol=1e-6)
    assert count_macs(model, X).total == left["macs"] == shrunk.macs[1]
    assert sum(p.numel() for p in model.parameters()) == left["params"] == shrunk.params[1]


def test_a_plan_of_branches_and_of_units() -> None:
    model = resnet()
    dense = copy.deepcopy(model)
    shrunk = sc.shrink_(model, X, {"layers": [1], "layer1.0.conv1": [0, 3], "layer1.1.conv1": [2]})
    assert shrunk.skipped == ("layer1.1",)
    assert model.layer1[0].conv1.out_channels == 6
    assert set(model.state_dict()) == {n for n in dense.state_dict() if not n.startswith("layer1.1.")}
    with pytest.raises(ModelError, match="7 residual branches"):
        sc.shrink_(resnet(), X, {"layers": [7]})


def test_a_branch_that_is_alive_stays() -> None:
    model = resnet()
    with torch.no_grad():
        model.layer1[0].conv1.weight.zero_()
    assert sc.shrink_(model, X).skipped == ()


def test_decoder_blocks_that_write_into_a_cache_stay() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    inputs = {"input_ids": nets.tokens()}
    with torch.no_grad():
        for p in model.model.layers[0].parameters():
            p.zero_()
    assert skipped(model) == {}
    assert sc.shrink_(model, inputs).skipped == ()
    whole = model(**inputs).logits
    first = model(input_ids=inputs["input_ids"][:, :4], use_cache=True)
    rest = model(input_ids=inputs["input_ids"][:, 4:], past_key_values=first.past_key_values)
    assert torch.allclose(rest.logits, whole[:, 4:], atol=1e-5)


def test_the_pruner_s_state_and_exclusions() -> None:
    recipe = sc.Recipe(structure=Layers(), schedule=OneShot(sparsity=0.5), exclude=("layer3.*",))
    model = resnet()
    pruner = sc.prune_(model, recipe, example_inputs=X)
    assert set(pruner.dense) == {"layer3.1", "layer3.2"}
    other = resnet()
    again = sc.Pruner(other, recipe, example_inputs=X)
    again.load_state_dict(pruner.state_dict())
    assert again.plan == pruner.plan
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
