"""Which integers must change, which equations have no solution, and what PyTorch's modules repeat of their sizes."""

from __future__ import annotations

import attentions
import nets
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from secateur.graph.analysis import Analysis, analyse
from secateur.graph.sizes import Slot
from secateur.graph.solve import grouped_fields, solve, torch_fields

X = torch.randn(2, 7, 5)


def solved(model: nn.Module, x: object, plan: dict[str, list[int]]) -> tuple[dict[str, int], list[str], Analysis]:
    a = analyse(model, x)
    changes, conflicts = solve(a, model, a.gone(plan))
    return {str(s): v for s, v in changes.items()}, [c.text for c in conflicts], a


def names(a: Analysis) -> tuple[str, list[str]]:
    heads = next(g.name for g in a.groups.of("v.weight", 0) if g.units == attentions.HEADS)
    return heads, [g.name for g in a.groups.prunable if g.units == attentions.SIZE]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Attribute", {"heads": 3, "size": 4}),
        ("Divided", {"dim": 12, "heads": 3}),
        ("Nested", {"options.attention.heads": 3, "options.attention.sizes.0": 4}),
        ("InTuple", {"shape.0": 3, "shape.1": 4}),
        ("Property", {"_inner": 12, "_size": 4}),
        ("Shared", {"q.config.heads": 3, "q.config.inner": 12, "config.heads": 3, "config.inner": 12}),
        ("Asserting", {"heads": 3, "size": 4}),
    ],
)
def test_the_integers_of_an_attention(kind: str, wanted: dict[str, int]) -> None:
    model = getattr(attentions, kind)()
    heads, inside = names(analyse(model, X))
    changes, conflicts, _ = solved(model, X, {heads: [1], **{n: [0, 5] for n in inside}})
    assert not conflicts
    own = {n: v for n, v in changes.items() if not n.endswith("_features")}
    assert own == wanted
    assert {n: v for n, v in changes.items() if n.endswith("_features")} == {
        "q.out_features": 12, "k.out_features": 12, "v.out_features": 12, "o.in_features": 12,
    }  # fmt: skip


def test_nothing_gone_nothing_changes() -> None:
    assert solved(attentions.Attribute(), X, {})[:2] == ({}, [])


def test_two_sizes_for_one_attribute_have_no_solution() -> None:
    model = attentions.Attribute()
    _, inside = names(analyse(model, X))
    _, conflicts, a = solved(model, X, {inside[0]: [0], inside[1]: [0, 1]})
    assert "no value of size fits all that forward makes of it" in conflicts
    conflict = solve(a, model, a.gone({inside[0]: [0], inside[1]: [0, 1]}))[1][0]
    met = np.concatenate([a.reader.rows(x).ravel() for x in conflict.labels])
    assert set(a.groups.atoms[inside[0]]) <= set(met) or set(a.groups.atoms[inside[1]]) <= set(met)
    assert a.recording.calls[conflict.call].place.startswith("attentions.py:")


class Unread(nn.Module):
    """An attribute that forward compares and nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.twice, self.a, self.b = 8, 16, nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        assert x.shape[-1] == self.hidden
        assert self.hidden * 2 == self.twice
        return self.b(x)


def test_comparisons_that_held_hold_again() -> None:
    changes, conflicts, _ = solved(Unread(), torch.randn(2, 3), {"a": [0, 1, 2]})
    assert not conflicts
    assert changes == {"a.out_features": 5, "b.in_features": 5, "hidden": 5, "twice": 10}


def test_unequal_chunks_and_steps_are_conflicts() -> None:
    model, x = nets.built(nets.Shuffle, nets.images(6)), nets.images(6)
    a = analyse(model, x)
    half = next(g for g in a.groups.prunable if any(m.parameter == "stem.weight" and m.dim == 0 for m in g.members))
    _, conflicts = solve(a, model, a.gone({half.name: [0]}))
    assert "the parts that chunk makes would not be equal" in {c.text for c in conflicts}


def test_fields_of_pytorchs_modules() -> None:
    modules = {
        "linear": nn.Linear(3, 4), "bilinear": nn.Bilinear(3, 4, 5), "conv": nn.Conv2d(4, 6, 3, groups=2),
        "transposed": nn.ConvTranspose1d(4, 6, 3, groups=2), "bn": nn.BatchNorm1d(5), "bare": nn.BatchNorm2d(5, affine=False),
        "gn": nn.GroupNorm(2, 4), "ln": nn.LayerNorm((2, 3)), "rms": nn.RMSNorm(4), "embedding": nn.Embedding(7, 3),
        "prelu": nn.PReLU(3), "other": nn.ReLU(), "without": nn.LayerNorm(4, elementwise_affine=False),
    }  # fmt: skip
    model = nn.ModuleDict(modules)
    shapes = {n: tuple(t.shape) for n, t in [*model.named_parameters(), *model.named_buffers()]}
    found = {str(s): v for s, v in [*torch_fields(model, shapes), *grouped_fields(model)]}
    assert found == {
        "linear.in_features": 3, "linear.out_features": 4,
        "bilinear.in1_features": 3, "bilinear.in2_features": 4, "bilinear.out_features": 5,
        "conv.out_channels": 6, "conv.in_channels": 4, "transposed.in_channels": 4, "transposed.out_channels": 6,
        "bn.num_features": 5, "bare.num_features": 5, "gn.num_channels": 4, "ln.normalized_shape.0": 2,
        "ln.normalized_shape.1": 3, "rms.normalized_shape.0": 4, "embedding.num_embeddings": 7, "embedding.embedding_dim": 3,
        "prelu.num_parameters": 3,
    }  # fmt: skip
    for slot, value in [*torch_fields(model, shapes), *grouped_fields(model)]:
        assert Slot(slot.module, slot.keys) == slot
        assert value > 0
