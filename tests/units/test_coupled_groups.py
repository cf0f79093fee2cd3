"""Which groups a structure prunes, what it scores them on, and what goes with a unit; numbers by hand."""

from __future__ import annotations

import pytest
import torch
from coupled_nets import IMAGES, TOKENS, Attention, Net, Residual, batches
from torch import nn

from secateur import ModelError, Pruner, Recipe, prune_, shrink_
from secateur.allocation import Global, PerLayer, Uniform
from secateur.schedule import OneShot
from secateur.score import Magnitude, Snip, Taylor
from secateur.structure import Filters, Heads, Inputs, Neurons, Weights
from secateur.testing import SmallAttention, small_batches, small_model

X = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0))


def pruned(structure, *, score=Magnitude(), sparsity=1 / 3, **more):  # noqa: B008
    """The first unit to go of ``Residual``'s three."""
    model = Residual()
    recipe = Recipe(structure=structure, score=score, schedule=OneShot(sparsity=sparsity), **more)
    (unit,) = prune_(model, recipe, example_inputs=X, data=[(X, torch.tensor([0, 1]))]).plan["a"]
    return unit


@pytest.mark.parametrize(
    ("structure", "unit"),
    [
        # rows of a: means 2, 4, 1; of b: means 3, 1, 3. Means of both 2.5, 2.5, 2: unit 2 goes
        (Filters(), 2),
        (Filters(across="max"), 2),  # max 3, 4, 3: of equals the last goes
        # sums: a 4, 8, 2; b 9, 3, 9. Means 6.5, 5.5, 5.5
        (Filters(reduce="sum"), 2),
        (Filters(reduce="sum", across="max"), 1),  # 9, 8, 9
        # largest: a 3, 4, 2; b 9, 1, 3. Means 6, 2.5, 2.5; sums alike
        (Filters(reduce="max", across="sum"), 2),
        # columns of b: sums of sizes 13, 4, 4; of out: 10, 1, 14. Means over rows 13/3, 4/3, 4/3 and 5, 0.5, 7
        (Filters(members="consumers"), 1),
        (Inputs(), 1),
        (Inputs(members="producers"), 2),
        # norms: a √10, √32, 2; b 9, √3, √27; the bias 1, 2, 3; columns of b √91, √10, √10; of out √50, 1, √98
        (Filters(reduce="l2", members="all"), 1),
    ],
    ids=repr,
)
def test_the_unit_that_goes_first(structure, unit):
    assert pruned(structure) == unit


def test_signs_are_summed_before_the_absolute_value():
    """One example whose gradient is all ones where it matters: |Σ w| over the columns that read a unit."""
    model = Residual()
    x = X[:1]

    def loss(net, batch):
        return sum((p * torch.ones_like(p)).sum() for n, p in net.named_parameters() if n in ("b.weight", "out.weight"))

    structure = Filters(reduce="abs_sum", members="consumers", across="sum")
    pruner = prune_(
        model,
        Recipe(structure=structure, score=Taylor(signed=True), schedule=OneShot(sparsity=1 / 3)),
        example_inputs=x,
        data=[(x, None)],
        loss=loss,
    )
    # columns of b: 9+1+3 = 13, 0−1+3 = 2, 0+1+3 = 4; of out: 10, 1, 14
    assert pruner.plan == {"a": [1]}


def test_a_unit_takes_all_its_members_along():
    model = Residual()
    pruner = prune_(model, Recipe(structure=Filters(), schedule=OneShot(sparsity=1 / 3)), example_inputs=X)
    assert {n: m.int().flatten(1).tolist() if m.ndim > 1 else m.int().tolist() for n, m in pruner.masks.items()} == {
        "a.weight": [[1, 1], [1, 1], [0, 0]],
        "b.bias": [1, 1, 0],
        "b.weight": [[1, 1, 0], [1, 1, 0], [0, 0, 0]],
        "out.weight": [[1, 1, 0], [1, 1, 0]],
    }
    assert pruner.prunable == 3 * (2 + 3 + 1), "what makes them, not what reads them"
    assert pruner.sparsity == 1 / 3
    assert bool((model.b.weight[2] == 0).all())
    assert bool((model.out.weight[:, 2] == 0).all())


def test_a_weight_between_two_groups_is_masked_by_both():
    model = Net()
    pruner = prune_(model, Recipe(structure=Filters(), allocation=Uniform()), example_inputs=IMAGES)
    gone = {n: set(units) for n, units in pruner.plan.items()}
    mask = pruner.masks["up.weight"][:, :, 0, 0]
    for row in range(8):
        for column in range(6):
            assert bool(mask[row, column]) == (row not in gone["up"] and column not in gone["stem"])
    assert pruner.masks["hidden.weight"][:, [4 * u + k for u in gone["stem"] for k in range(4)]].sum() == 0


def test_filters_neurons_and_inputs_share_a_network_out():
    pruners = {s.name: Pruner(Net(), Recipe(structure=s), example_inputs=IMAGES) for s in (Filters(), Neurons(), Inputs())}
    assert {n: list(p.targets) for n, p in pruners.items()} == {
        "filters": ["stem", "up", "hidden"],
        "neurons": ["hidden"],
        "inputs": ["stem", "up", "hidden"],
    }
    assert pruners["neurons"].dense == {
        "stem": "its units are channels: use Filters()",
        "stem#2": "size of dimension 1 of the input 'x'",
        "up": "its units are channels: use Filters()",
        "out": "an output of the model",
    }


def test_a_key_head_with_all_its_queries_is_a_unit():
    model = Attention(heads=6, kv=3)
    pruner = prune_(model, Recipe(structure=Heads(), schedule=OneShot(sparsity=0.34)), example_inputs=TOKENS)
    ((name, group),) = pruner.targets.items()
    assert (group.units, group.heads) == (3, True)
    (unit,) = pruner.plan[name]
    dead = {
        n: (~m).flatten(1).all(1).nonzero().flatten().tolist() for n, m in pruner.masks.items() if n in ("q.weight", "v.weight")
    }
    assert dead == {"q.weight": list(range(8 * unit, 8 * unit + 8)), "v.weight": list(range(4 * unit, 4 * unit + 4))}
    assert not bool(pruner.masks["o.weight"][:, 8 * unit : 8 * unit + 8].any())
    kinds = {why.split(" '")[0] for why in Pruner(model, Recipe(structure=Neurons()), example_inputs=TOKENS).dense.values()}
    assert {"its units are heads: use Heads()", "it lies inside the heads of"} <= kinds


def test_fused_heads_are_cut_out_exactly():
    model = SmallAttention(heads=6)
    x = small_batches(1)[0][0]
    pruner = prune_(model, Recipe(structure=Heads(reduce="l2", members="all")), example_inputs=x)
    assert shrink_(model, x, pruner.plan).error < 1e-10
    assert (model.heads, model.qkv.weight.shape, model.proj.weight.shape) == (3, (36, 16), (16, 12))


def test_only_what_is_asked_for_by_name_is_pruned_under_a_norm_or_inside_heads():
    model = Attention()
    recipe = Recipe(structure=Neurons())
    pruner = Pruner(model, recipe, example_inputs=TOKENS)
    assert list(pruner.targets) == ["gate"]
    residual = next(n for n, why in pruner.dense.items() if "averages over it, so a mask is not yet a cut" in why)
    inside = [n for n, why in pruner.dense.items() if why.startswith("it lies inside the heads of")]
    asked = Recipe(structure=Neurons(), include=(residual, inside[-1]))
    assert set(Pruner(model, asked, example_inputs=TOKENS).targets) == {"gate", residual, inside[-1]}
    by_parameter = Recipe(structure=Neurons(), include=("down.weight",))
    assert set(Pruner(model, by_parameter, example_inputs=TOKENS).targets) == {"gate", residual}


class Tables(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.out = nn.Embedding(9, 6), nn.Linear(6, 9)

    def forward(self, x):
        return self.out(self.embed(x))


def test_embeddings_stay_unless_asked_for():
    tokens = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ModelError, match=r"embedding \(include it by name to prune it\)"):
        Pruner(Tables(), Recipe(structure=Neurons()), example_inputs=tokens)
    pruner = Pruner(Tables(), Recipe(structure=Neurons(), include=("embed.weight",)), example_inputs=tokens)
    assert [t.units for t in pruner.targets.values()] == [6]


@pytest.mark.parametrize("pattern", ["hidden", "hidden.weight", "hid*"])
def test_names_of_groups_and_of_what_makes_them_exclude(pattern):
    pruner = Pruner(Net(), Recipe(structure=Filters(), exclude=(pattern,)), example_inputs=IMAGES)
    assert list(pruner.targets) == ["stem", "up"]
    assert pruner.dense["hidden"] == "excluded by name"


def test_a_pattern_that_matches_nothing():
    with pytest.raises(ModelError) as e:
        Pruner(Net(), Recipe(structure=Filters(), exclude=("stam*",)), example_inputs=IMAGES)
    assert str(e.value) == (
        "the pattern 'stam*' matches no group and no parameter; the model's groups are stem, stem#2, up, hidden, out, …"
    )


class Shuffled(nn.Module):
    """Two parts of three channels are interleaved: a part, and a place in it, share every index."""

    def __init__(self):
        super().__init__()
        self.parts, self.each = 2, 3
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)

    def forward(self, x):
        n, _, h, w = x.shape
        return self.b(self.a(x).view(n, self.parts, self.each, h, w).transpose(1, 2).reshape(n, self.parts * self.each, h, w))


def test_of_groups_that_share_indices_the_finer_is_pruned():
    groups = Pruner(Shuffled(), Recipe(structure=Filters()), example_inputs=IMAGES)
    assert [t.units for t in groups.targets.values()] == [3]
    (name,) = (n for n, why in groups.dense.items() if "shares indices with" in why)
    both = Pruner(Shuffled(), Recipe(structure=Filters(), include=(name,)), example_inputs=IMAGES)
    assert sorted(t.units for t in both.targets.values()) == [2, 3]
    kept = both.prune(0.5).masks["a.bias"].view(2, 3)
    gone = {both.targets[n].units: units for n, units in both.plan.items()}
    assert {(p, k) for p, k in kept.nonzero().tolist()} == {
        (p, k) for p in range(2) for k in range(3) if p not in gone.get(2, ()) and k not in gone.get(3, ())
    }


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.c = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.c(self.b(self.norm(self.a(x))))


def test_units_are_scored_on_the_scales_of_their_norms():
    model = Scaled()
    with torch.no_grad():
        model.norm.weight.copy_(torch.tensor([3.0, -0.1, 2.0, 0.5]))
        model.norm.bias.copy_(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    pruner = prune_(model, Recipe(structure=Filters(members="scales"), schedule=OneShot(sparsity=0.5)), example_inputs=IMAGES)
    assert pruner.plan == {"a": [1, 3]}
    assert pruner.dense["b"] == "it has no scales to be scored on"


@pytest.mark.parametrize(("normalize", "gone"), [("none", 0), ("mean", 1), ("max", 1), ("l2", 1)])
def test_groups_of_unlike_scale_compete_when_they_are_normalised(normalize, gone):
    """Layer 0 has rows of size 1 and 2, layer 2 of size 100 and 300: relative to their layer the 100 is the least."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
        model[2].weight.copy_(torch.tensor([[100.0, 100.0], [300.0, 300.0]]))
    recipe = Recipe(structure=Neurons(normalize=normalize), schedule=OneShot(sparsity=0.25))
    assert list(prune_(model, recipe, example_inputs=torch.zeros(2, 2)).plan) == [str(2 * gone)]


@pytest.mark.parametrize(("sparsity", "width"), [(0.0, 20), (0.1, 20), (0.15, 16), (0.4, 16), (0.45, 8), (0.79, 8), (1.0, 8)])
def test_widths_are_rounded_to_the_nearest_multiple(sparsity, width):
    model = nn.Sequential(nn.Linear(3, 20), nn.ReLU(), nn.Linear(20, 5), nn.ReLU(), nn.Linear(5, 2))
    recipe = Recipe(structure=Neurons(round_to=8), allocation=Uniform())
    pruner = Pruner(model, recipe, example_inputs=torch.zeros(2, 3)).prune(sparsity)
    assert 20 - len(pruner.plan.get("0", ())) == width
    assert "2" not in pruner.plan, "five units are fewer than eight: all stay"


def test_global_pruning_leaves_the_best_unit_of_every_group():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    with torch.no_grad():
        model[0].weight.mul_(1e-3)
        model[0].weight[4].mul_(5)
    pruner = Pruner(model, Recipe(structure=Neurons(), allocation=Global()), example_inputs=torch.zeros(2, 4)).prune(0.6)
    assert pruner.plan["0"] == [0, 1, 2, 3, 5]
    pruner.prune(1.0)
    assert {n: len(units) for n, units in pruner.plan.items()} == {"0": 5, "2": 4}


def test_each_group_has_the_share_that_its_name_says():
    allocation = PerLayer(sparsity={"up*": 0.5, "hidden": 0.3}, other=0.0)
    pruner = prune_(Net(), Recipe(structure=Filters(), allocation=allocation), example_inputs=IMAGES)
    assert {n: len(units) for n, units in pruner.plan.items()} == {"up": 4, "hidden": 3}
    with pytest.raises(ModelError, match=r"'conv\*' matches none of the layers: stem, up, hidden"):
        Pruner(Net(), Recipe(structure=Filters(), allocation=PerLayer(sparsity={"conv*": 0.5})), example_inputs=IMAGES)


def test_gradients_reach_the_members_that_are_scored():
    data = batches(2)
    for members in ("producers", "consumers", "all"):
        model = Net().eval()
        expected = {}
        for x, y in data:
            found = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), [model.hidden.weight, model.out.weight])
            expected = {k: expected.get(k, 0) + g / 2 for k, g in zip(("hidden", "out"), found, strict=True)}
        rows = (model.hidden.weight * expected["hidden"]).abs().mean(1)
        columns = (model.out.weight * expected["out"]).abs().mean(0)
        structure, score = Neurons(members=members), Snip()
        pruner = prune_(model, Recipe(structure=structure, score=score), example_inputs=IMAGES, data=data)
        if members == "all":
            continue
        wanted = (rows if members == "producers" else columns).argsort()[:5].sort().values.tolist()
        assert pruner.plan == {"hidden": wanted}


# ---------------------------------------------------------------- refusals


def test_heads_need_example_inputs():
    with pytest.raises(ModelError) as e:
        Pruner(SmallAttention(), Recipe(structure=Heads()))
    assert str(e.value) == (
        "the units of structure 'heads' reach over several layers, and only a trace of the model tells which: "
        "pass Pruner(model, recipe, example_inputs=...)"
    )


def test_what_speaks_of_groups_needs_example_inputs():
    with pytest.raises(ModelError) as e:
        Pruner(small_model(), Recipe(structure=Filters(members="all", round_to=8)))
    assert str(e.value) == (
        "structure 'filters' with members='all', round_to=8 speaks of coupled groups, and only a trace of the model tells them: "
        "pass Pruner(model, recipe, example_inputs=...)"
    )


def test_a_structure_that_fits_no_group():
    with pytest.raises(ModelError, match="structure 'heads' fits no coupled group of this model: 0: its units are no heads"):
        Pruner(small_model(), Recipe(structure=Heads()), example_inputs=small_batches(1)[0][0])


def test_a_plan_is_of_coupled_units():
    for pruner in (Pruner(small_model(), Recipe(structure=Filters())), Pruner(Net(), Recipe(), example_inputs=IMAGES)):
        with pytest.raises(ModelError, match=r"a plan is of coupled units; pass Pruner\(model, recipe, example_inputs=...\)"):
            pruner.plan  # noqa: B018


def test_each_examples_gradient_needs_data():
    pruner = Pruner(Net(), Recipe(structure=Filters(), score=Taylor()), example_inputs=IMAGES)
    with pytest.raises(RuntimeError, match="score 'taylor' needs the gradient of each example"):
        pruner.prune()


def test_example_inputs_change_nothing_for_single_weights():
    one, other = small_model(), small_model()
    prune_(one, Recipe())
    prune_(other, Recipe(structure=Weights()), example_inputs=small_batches(1)[0][0])
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_what_it_shows_of_groups():
    text = " ".join(repr(prune_(Net(), Recipe(structure=Neurons()), example_inputs=IMAGES)).split())
    assert "neurons · magnitude · global · one_shot · keep_training: 50.00% of 250 prunable parameters pruned" in text
    assert "hidden 10 units 5 50.00%" in text
    assert "out an output of the model" in text
