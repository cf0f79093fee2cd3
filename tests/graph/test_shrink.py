"""The masked model is the shrunken one, and the module is still the user's."""

from __future__ import annotations

import copy

import nets
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shrinks import assert_same, half, shrink_and_check, snapshot
from test_oracle import MODELS
from torch import Tensor, nn

from secateur.core.errors import ModelError
from secateur.graph import cut, shrinking
from secateur.graph.analysis import Analysis, analyse
from secateur.graph.groups import find_groups
from secateur.graph.shrink import shrink_
from secateur.graph.verify import Failure

# how many groups are cut in half: all that are not inside another one, or held by something
CUT = {"vgg": 14, "resnet-20": 12, "mobilenet": 14, "gpt": 5, "gpt-tied": 5, "multihead-attention": 0}


@pytest.mark.parametrize("name", [n for n in MODELS if n != "odd"])
def test_half_of_everything(name: str) -> None:
    make, x, _ = MODELS[name]
    model = nets.built(make, x)
    plan = half(find_groups(model, x))
    shrunk = shrink_and_check(model, x, plan, least=CUT.get(name, 1))
    assert set(shrunk.cut) == set(plan), shrunk
    assert not shrunk.kept


def test_half_of_raw_weights() -> None:
    """Of everything at once nothing would come through; one half after the other does."""
    model, x = nets.built(nets.Odd, nets.images(6)), nets.images(6)
    for name, units in half(find_groups(model, x)).items():
        shrink_and_check(model, x, {name: [u + 1 for u in units]}, keep=True)


SMALL = {n: nets.built(*MODELS[n][:2]) for n in ("mlp", "shufflenet", "vit", "gqa", "densenet", "res2net", "inception", "tied")}
GROUPS = {n: find_groups(m, MODELS[n][1]) for n, m in SMALL.items()}


@settings(max_examples=16)
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_any_plan(name: str, data: st.DataObject) -> None:
    """What fits is cut, what does not stays whole or in part, and says why."""
    groups = GROUPS[name]
    chosen = data.draw(st.lists(st.sampled_from([g.name for g in groups.prunable]), min_size=1, unique=True))
    plan = {n: data.draw(st.lists(st.integers(0, groups[n].units - 1), unique=True).map(sorted), n) for n in chosen}
    shrink_and_check(SMALL[name], MODELS[name][1], plan, least=0, keep=True)


def test_parameters_stay_the_same_objects_and_tied_ones_tied() -> None:
    model, x = nets.built(nets.Tied, nets.tokens()), nets.tokens()
    embedding = model.embed.weight
    shrink_(model, x, half(find_groups(model, x)))
    assert model.embed.weight is embedding is model.head.weight
    assert embedding.shape == (15, 5)


def test_two_parameters_that_share_their_values_still_do() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 2))
    model[2].weight.data = model[1].weight.data
    model[2].bias.data = model[1].bias.data
    shrink_(model, torch.randn(2, 4), {"0": [1, 2]})
    assert model[1].weight is not model[2].weight
    assert model[1].weight.data_ptr() == model[2].weight.data_ptr()
    assert model[2].weight.shape == (4, 4)


def test_flags_gradients_and_attributes_are_left_alone() -> None:
    model, x = nets.mlp(), torch.randn(3, 7)
    model.train()
    model[1].eval()
    model[4].weight.requires_grad_(False)
    model[2].note = "mine"
    model(x).sum().backward()
    grads = {n: p.grad for n, p in model.named_parameters()}
    shrink_(model, x, {"0": [0, 3]})
    assert [m.training for m in model] == [True, False, True, True, True]
    assert model[2].note == "mine"
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, True, False, True]
    assert model[4].bias.grad is grads["4.bias"]
    left = [k for k in range(12) if k not in (0, 3)]
    assert torch.equal(model[0].weight.grad, grads["0.weight"][left])
    assert torch.equal(model[2].weight.grad, grads["2.weight"][:, left])


def test_it_is_deterministic() -> None:
    x = nets.images(8)
    plan = {**half(find_groups(nets.ViT(), x)), "patch": [0, 5, 7]}  # not what the heads lose: part of it stays
    found = [shrink_(model := nets.built(nets.ViT, x), x, plan, narrow_norms=True) for _ in range(2)]
    assert found[0].kept
    assert (found[0].cut, found[0].kept, found[0].changes) == (found[1].cut, found[1].kept, found[1].changes)
    assert [tuple(p.shape) for p in model.parameters()]


class Stored(nn.Module):
    """Keeps its last result and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(3, 8), nn.Linear(8, 2), None
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(1)
        self.last = torch.relu(self.a(x))
        return self.b(self.last)


def test_what_forward_stores_is_not_kept() -> None:
    model = Stored()
    shrink_(model, torch.randn(2, 3), {"a": [0]})
    assert model.last is None
    assert int(model.calls) == 0
    assert model.seen == []


# ---------------------------------------------------------------- failures


def broken(monkeypatch: pytest.MonkeyPatch, where: str, what: type[BaseException]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise what("broken on purpose")

    monkeypatch.setattr(f"secateur.graph.{where}", fail)


ON_THE_WAY = ["equal.Reference.compare", "cut.grouped_fields", "cut.write", "equal.answer", "shrinking.solve", "cut.Cut.settle"]


@pytest.mark.parametrize("where", ON_THE_WAY)
@pytest.mark.parametrize("what", [RuntimeError, KeyboardInterrupt])
def test_an_error_on_the_way_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch, where: str, what: type) -> None:
    model, x = nets.built(nets.ViT, nets.images(8)), nets.images(8)
    model.qkv.weight.grad = torch.ones_like(model.qkv.weight)
    plan = half(find_groups(model, x))
    before = snapshot(model)
    with monkeypatch.context() as patch:
        broken(patch, where, what)
        with pytest.raises((what, ModelError), match="broken on purpose"):
            shrink_(model, x, plan, narrow_norms=True)
    assert_same(before, snapshot(model))
    assert shrink_(model, x, plan, narrow_norms=True).cut


def test_what_turns_out_different_is_put_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """One group is blamed: the one whose cut makes the difference."""
    model, x = nets.built(nets.mlp, None), torch.randn(3, 7)
    real = shrinking.Reference.compare

    def compare(self: shrinking.Reference, gone: object, other: nn.Module | None = None) -> float:
        if self.model[2].weight.shape[0] < 9:
            raise Failure("it differs")
        return real(self, gone, other)

    before = model[4].weight.clone()
    monkeypatch.setattr(shrinking.Reference, "compare", compare)
    shrunk = shrink_(model, x, {"0": [1, 2], "2": [0]})
    assert shrunk.cut == {"0": 2}
    assert shrunk.kept == {"2": "it differs"}
    assert model[2].weight.shape == (9, 10)
    assert torch.equal(model[4].weight, before)


def test_when_only_all_together_fail_all_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = nets.built(nets.mlp, None), torch.randn(3, 7)
    real = shrinking.Reference.compare

    def compare(self: shrinking.Reference, gone: object, other: nn.Module | None = None) -> float:
        if self.model[2].weight.shape == (8, 10):
            raise Failure("it differs")
        return real(self, gone, other)

    before = snapshot(model)
    monkeypatch.setattr(shrinking.Reference, "compare", compare)
    shrunk = shrink_(model, x, {"0": [1, 2], "2": [0]})
    assert shrunk.cut == {}
    assert shrunk.kept == {"0": "it differs", "2": "it differs"}
    assert_same(before, snapshot(model))


def test_a_wrong_cut_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: here the columns that are left come in another order."""
    model, x = nets.built(nets.mlp, None), torch.randn(3, 7)
    real = cut.sliced

    def sliced(tensor: Tensor, analysis: Analysis, name: str, gone: object) -> Tensor | None:
        small = real(tensor, analysis, name, gone)
        return small.flip(1) if name == "2.weight" and small is not None else small

    before = snapshot(model)
    with monkeypatch.context() as patch:
        patch.setattr(cut, "sliced", sliced)
        shrunk = shrink_(model, x, {"0": [1, 2]})
    assert shrunk.cut == {}
    assert "the smaller model would differ from the masked one by" in shrunk.kept["0"]
    assert_same(before, snapshot(model))


def test_wrong_integers_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many elements, in heads of another size."""
    model, x = nets.built(nets.GQA, nets.tokens()), nets.tokens()
    real = shrinking.solve

    def solve(*args: object) -> object:
        changes, conflicts = real(*args)
        return {s: {"heads": 3, "kv": 1}.get(str(s), v) for s, v in changes.items()}, conflicts

    heads = next(g.name for g in find_groups(model, x).of("v.weight", 0) if g.units == 2)
    with monkeypatch.context() as patch:
        patch.setattr(shrinking, "solve", solve)
        shrunk = shrink_(model, x, {heads: [0]})
    assert shrunk.cut == {}
    assert "(nets.py:" in shrunk.kept[heads]


# ---------------------------------------------------------------- refusals


def refused(model: nn.Module, x: object, plan: object, **options: bool) -> str:
    before = snapshot(model)
    with pytest.raises(ModelError) as error:
        shrink_(model, x, plan, **options)
    assert_same(before, snapshot(model))
    text = str(error.value)
    assert "\n" not in text
    return text


def test_unknown_groups_and_units() -> None:
    x = torch.randn(2, 7)
    assert refused(nets.mlp(), x, {"fc": [0]}) == "no group is called 'fc'; known: 0, 0#2, 2, 4"
    assert refused(nets.mlp(), x, {"0": [3, 12]}) == "'0' has units 0 to 11; asked to remove [3, 12]"
    assert "units 0 to 11" in refused(nets.mlp(), x, {"0": [-1]})
    assert refused(nets.mlp(), x, {"4": [0]}) == "no unit of '4' can be removed: an output of the model"
    assert "a mask of 3 booleans" in refused(nets.mlp(), x, {"0": [True, False, True]})
    assert "no numbers of units" in refused(nets.mlp(), x, {"0": [0.5]})


def test_units_as_indices_masks_arrays_or_tensors() -> None:
    wanted = {"0": [2, 5]}
    mask = torch.zeros(12, dtype=torch.bool)
    mask[[2, 5]] = True
    a = analyse(nets.mlp(), torch.randn(2, 7))
    for given_ in ([5, 2, 2], (2, 5), torch.tensor([2, 5]), mask, mask.numpy(), range(2, 6, 3)):
        assert {n: u.tolist() for n, u in a.units({"0": given_}).items()} == wanted
    assert a.units({"0": []}) == {}


class Deaf(nn.Module):
    """Its result does not depend on what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x * 0)))


class Branching(Deaf):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)) if x.sum() > 0 else self.a(x)


def test_a_model_that_does_not_listen_proves_nothing() -> None:
    assert "the output changes by 0e+00 when the inputs do" in refused(Deaf(), torch.randn(2, 3), {"a": [0]})


def test_a_model_that_cannot_be_traced() -> None:
    assert "Branching cannot be traced by torch.export" in refused(Branching(), torch.randn(2, 3), {"a": [0]})
    assert "Branching cannot be traced by torch.export" in refused(Branching(), torch.randn(2, 3), None)


def test_a_dimension_never_becomes_empty() -> None:
    shrunk = shrink_(nets.mlp(), torch.randn(2, 7), {"0": range(12), "2": range(3)})
    assert shrunk.cut == {"0": 11, "2": 3}
    assert shrunk.kept == {"0": "one unit stays: a dimension cannot be empty"}


def test_heads_and_what_is_inside_them_never_both_go() -> None:
    """Two groups share a dimension: together they may leave nothing of it."""
    model, x = nets.built(nets.GQA, nets.tokens()), nets.tokens()
    groups = find_groups(model, x)
    crossing = {g.name: range(g.units) for g in groups.prunable if g.crosses}
    shrunk = shrink_and_check(model, x, {n: list(u) for n, u in crossing.items()}, least=0)
    assert shrunk.kept


def test_nothing_asked_nothing_done() -> None:
    model, x = nets.built(nets.ViT, nets.images(8)), nets.images(8)
    before = snapshot(model)
    shrunk = shrink_(model, x, {})
    assert shrunk.cut == shrunk.kept == shrunk.changes == {}
    assert shrunk.macs[0] == shrunk.macs[1]
    assert_same(before, snapshot(model))


def test_shrinking_twice() -> None:
    model, x = nets.built(nets.GQA, nets.tokens()), nets.tokens()
    shrink_and_check(model, x)
    sizes = [p.numel() for p in model.parameters()]
    shrink_and_check(model, x)
    assert sum(p.numel() for p in model.parameters()) < 0.6 * sum(sizes)


# ---------------------------------------------------------------- inputs, norms, devices


def test_one_example_is_enough_also_for_views_of_a_fixed_batch() -> None:
    model = nets.built(nets.ViT, nets.images(8))
    shrunk = shrink_and_check(model, nets.images(8)[:1])
    assert shrunk.cut


def test_inputs_by_name_and_of_a_tokenizers_kind() -> None:
    from collections import UserDict

    model = nets.built(nets.GQA, nets.tokens())
    plan = half(find_groups(model, {"tokens": nets.tokens()}))
    assert shrink_(copy.deepcopy(model), {"tokens": nets.tokens()}, plan, narrow_norms=True).cut.keys() == plan.keys()
    assert shrink_(model, UserDict(tokens=nets.tokens()[:1]), plan, narrow_norms=True).cut.keys() == plan.keys()


def test_a_sentence_of_one_word_is_an_example_too() -> None:
    model, x = nets.built(nets.GQA, nets.tokens()), torch.zeros(1, 6, dtype=torch.long)
    assert shrink_(model, x, half(find_groups(model, x)), narrow_norms=True).sensitivity > 1e-3


class Fixed(nn.Module):
    """Takes two examples, never three."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.relu(self.a(x)).view(2, -1))


def test_a_model_of_one_batch_size_is_checked_at_that() -> None:
    shrunk = shrink_(model := Fixed(), torch.randn(2, 3), {"a": [1]})
    assert shrunk.cut == {"a": 1}
    assert model.b.weight.shape == (2, 7)


@pytest.mark.parametrize("name", ["convnext", "vit", "gqa", "u-net"])
def test_norms_over_pruned_units_hold_them_unless_asked(name: str) -> None:
    make, x, _ = MODELS[name]
    model = nets.built(make, x)
    groups = find_groups(model, x)
    averaged = [g.name for g in groups.prunable if g.statistics]
    plan = half(groups)
    shrunk = shrink_(copy.deepcopy(model), x, plan)
    assert averaged
    assert not set(averaged) & set(shrunk.cut)
    for group in set(averaged) & set(plan):
        assert "averages over its units (narrow_norms=True removes them all the same)" in shrunk.kept[group]
    assert set(shrink_and_check(model, x, plan).cut) == set(plan)


@pytest.mark.parametrize("name", ["bottlenecks", "tied", "vit"])
def test_a_model_without_storage_gets_its_sizes(name: str) -> None:
    make, x, _ = MODELS[name]
    real = nets.built(make, x)
    with torch.device("meta"):
        model = make()
    groups = find_groups(model, x.to("meta"))
    plan = half(groups)
    shrunk = shrink_(model, x.to("meta"), plan, narrow_norms=True)
    same = shrink_(real, x, plan, narrow_norms=True)
    assert shrunk.error != shrunk.error
    assert (shrunk.cut, shrunk.changes) == (same.cut, same.changes)
    assert [p.shape for p in model.parameters()] == [p.shape for p in real.parameters()]
    assert all(p.is_meta for p in model.parameters())
    assert "not checked: the weights" in str(shrunk)


def test_the_report_says_what_went_and_what_stayed() -> None:
    model, x = nets.built(nets.ConvNeXt, nets.images(8)), nets.images(8)
    text = str(shrink_(model, x, {"up": range(16), "stem": [0]}))
    assert "checked equal to" in text
    assert "up" in text
    assert "16" in text
    assert "averages over its units" in text
