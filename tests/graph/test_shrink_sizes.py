"""Sizes of one attention, written in many ways: each is followed, or its dimension stays with a reason that names the place."""

from __future__ import annotations

import importlib.util
import re

import attentions
import nets
import pytest
import torch
from attentions import HEADS, SIZE
from shrinks import shrink_and_check

from secateur.graph.groups import Groups, find_groups

X = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(3))
PLACE = re.compile(r"\(attentions\.py:\d+\)")

FOLLOWED = ["Attribute", "Inferred", "Divided", "Nested", "InTuple", "Product", "Asserting", "Stored", "Shared", "Space",
            "Property", "Einsum", "Tensorial"]  # fmt: skip
HEADS_STAY = ["Literal", "ClassAttribute", "Global", "Closure", "Partial", "Cast", "MeanOfHeads"]
SIZE_STAYS = ["Root", "Power", "RootOfShape", "Fused"]


def parts(groups: Groups) -> tuple[str, str, str]:
    """The names of the groups of heads, of positions inside a head of the values, and of the residual width."""
    of = {g.units: g.name for g in groups.of("v.weight", 0)}
    return of[HEADS], of[SIZE], groups.of("embed.weight", 0)[0].name


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_attribute_is_changed(name: str) -> None:
    model = nets.built(getattr(attentions, name), X)
    groups = find_groups(model, X)
    heads, _, width = parts(groups)
    shrunk = shrink_and_check(model, X, {heads: [0, 2], width: list(range(5))})
    assert shrunk.cut == {heads: 2, width: 5}, shrunk


@pytest.mark.parametrize("name", FOLLOWED + HEADS_STAY)
def test_the_size_of_a_head_follows_too(name: str) -> None:
    model = nets.built(getattr(attentions, name), X)
    groups = find_groups(model, X)
    every = [g.name for g in groups.prunable if g.units == SIZE]
    if name == "Literal":
        assert not every
        return
    shrunk = shrink_and_check(model, X, {n: [1, 4] for n in every})
    assert shrunk.cut == dict.fromkeys(every, 2), shrunk


@pytest.mark.parametrize("name", HEADS_STAY)
def test_what_is_no_attribute_stays_and_says_where(name: str) -> None:
    model = nets.built(getattr(attentions, name), X)
    groups = find_groups(model, X)
    heads, _, width = parts(groups)
    assert not groups[heads].prunable
    wanted = "forward computes a number from its size" if name == "MeanOfHeads" else "forward fixes its size to 4"
    assert groups[heads].reason.startswith(wanted)
    assert PLACE.search(groups[heads].reason), groups[heads].reason
    assert shrink_and_check(model, X, {width: list(range(8))}).cut == {width: 8}


@pytest.mark.parametrize("name", SIZE_STAYS)
def test_the_scale_holds_the_size_of_a_head_and_whole_heads_go(name: str) -> None:
    model = nets.built(getattr(attentions, name), X)
    groups = find_groups(model, X)
    heads = parts(groups)[0]
    held = [g for g in groups.of("q.weight", 0) if g.units == SIZE]
    assert [g.prunable for g in held] == [False]
    wanted = (
        "the scale of the attention is computed from its size" if name == "Fused" else "forward computes a number from its size"
    )
    assert held[0].reason.startswith(wanted)
    assert PLACE.search(held[0].reason), held[0].reason
    assert shrink_and_check(model, X, {heads: [3]}).cut == {heads: 1}


def test_heads_of_a_loop_stay_together() -> None:
    """Head by head in Python: all of them can be narrower, none can go alone."""
    model = nets.built(attentions.Loop, X)
    groups = [g for g in find_groups(model, X).prunable if g.units == SIZE]
    assert len(groups) == 2 * HEADS
    assert len(shrink_and_check(model, X, {g.name: [0, 5] for g in groups}, keep=True).cut) == 2 * HEADS
    shrunk = shrink_and_check(model, X, {groups[0].name: [0]}, least=0)
    assert shrunk.cut == {}
    assert PLACE.search(shrunk.kept[groups[0].name])


def test_a_number_that_turns_out_to_follow_a_size_is_noticed() -> None:
    """Python does not tell where the integer in ``1.0 / size`` comes from; the scale it makes is compared."""
    model = nets.built(attentions.FloatFirst, X)
    groups = find_groups(model, X)
    inside = {g.name: [1, 4] for g in groups.prunable if g.units == SIZE}
    assert len(inside) == 2
    heads = parts(groups)[0]
    shrunk = shrink_and_check(model, X, {**inside, heads: [2]})
    assert shrunk.cut == {heads: 1}
    assert any("would compute with another number, which follows from a size (attentions.py:" in r for r in shrunk.kept.values())
    assert all(PLACE.search(r) for r in shrunk.kept.values())


def test_one_size_for_two_widths_goes_in_equal_parts() -> None:
    """``b, n, c = x.shape`` and ``reshape(b, n, c)``: as many heads as residual channels, or none."""
    model = nets.built(attentions.OtherTensor, X)
    groups = find_groups(model, X)
    width = groups.of("embed.weight", 0)[0].name
    heads = next(g.name for g in groups.of("v.weight", 0) if g.units == HEADS and g.crosses and "q.weight" in str(g.members))
    assert shrink_and_check(model, X, {heads: [0, 1], width: list(range(8))}, keep=True).cut == {heads: 2, width: 8}
    shrunk = shrink_and_check(model, X, {heads: [0], width: list(range(7))}, keep=True)
    assert shrunk.cut == {heads: 1, width: 4}
    assert PLACE.search(shrunk.kept[width])
    assert "3 units stay, as large a part as of" in shrunk.kept[width]
    alone = shrink_and_check(model, X, {heads: [0]}, least=0)
    assert alone.cut == {}
    assert PLACE.search(alone.kept[heads])
    assert "shape[2]" in alone.kept[heads]


@pytest.mark.skipif(importlib.util.find_spec("einops") is None, reason="einops is not installed")
def test_einops() -> None:
    model = nets.built(attentions.Einops, X)
    heads, _, width = parts(find_groups(model, X))
    assert shrink_and_check(model, X, {heads: [0, 2], width: list(range(5))}).cut == {heads: 2, width: 5}


def test_a_shared_configuration_stays_shared_where_all_agree() -> None:
    model = nets.built(attentions.Shared, X)
    config = model.config
    heads = parts(find_groups(model, X))[0]
    shrink_and_check(model, X, {heads: [0]})
    assert model.config is model.q.config
    assert (model.config.heads, model.config.inner) == (3, 18)
    assert (config.heads, config.inner) == (4, 24)
