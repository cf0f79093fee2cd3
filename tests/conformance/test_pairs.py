"""Every pair of choices on two axes works together to the exact count, or is refused with the names of what fits."""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from secateur import Pruner, Recipe, RecipeError
from secateur.core.component import AXES, choices, choose
from secateur.structure import Filters
from secateur.testing import SmallAttention, small_batches, small_model

SMALL = {  # defaults are for real trainings; these end within four steps, and stay within every structure's reach
    "per_layer": {"other": 0.5},
    "iterative": {"rounds": 2},
    "drop_grow": {"sparsity": 0.5, "end": 4, "every": 2},
    "polynomial": {"sparsity": 0.5, "end": 4, "every": 2},
    "cubic": {"sparsity": 0.5, "end": 4, "every": 2},
    "hard_concrete": {"examples": 100},
    "variational_dropout": {"examples": 100},
}

BY_SCORE = ("std_threshold", "threshold")  # how much they remove follows from the scores

COMPANIONS = {"geometric_median": {"structure": Filters()}}  # what a choice cannot do without


def make(axis, name):
    return choose(axis, {"name": name, **SMALL.get(name, {})})


PAIRS = [
    ((a, one), (b, other)) for a, b in itertools.combinations(AXES, 2) for one, other in itertools.product(choices(a), choices(b))
]


@pytest.mark.filterwarnings("ignore:pruning emptied the layer")  # of layers whose scores are of another scale
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{x[1]}+{y[1]}" for x, y in PAIRS])
def test_pair(first, second):
    parts = {axis: make(axis, name) for axis, name in (first, second)}
    others = {a: p for _, name in (first, second) for a, p in COMPANIONS.get(name, {}).items()}
    try:
        recipe = Recipe(**{**others, **parts})
    except RecipeError as refusal:
        check_refusal(str(refusal), {**others, **parts})
        return
    alone = recipe.structure.alone
    model = small_model() if alone else SmallAttention()
    pruner = Pruner(model, recipe, data=small_batches(1), example_inputs=None if alone else small_batches(1)[0][0])
    drive(model, pruner)
    (check_counts if alone else check_units)(model, pruner)


def check_refusal(sentence, parts):
    """The names after 'that fits' do fit, and go where the second of the two was."""
    said = re.fullmatch(r"(\w+) '(\w+)' does not go with (\w+) '(\w+)': (.+); (\w+) that fits: (.+)", sentence)
    assert said is not None, sentence
    axis, other = said[1], said[3]
    assert {axis: said[2], other: said[4]}.items() <= {a: p.name for a, p in parts.items()}.items()
    assert said[6] == other
    assert said[4] not in said[7].split(", ")
    for name in said[7].split(", "):
        others = COMPANIONS.get(said[2], {}) | COMPANIONS.get(name, {})
        Recipe(**{**others, axis: parts[axis], other: make(other, name)})


def drive(model, pruner):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss = torch.nn.CrossEntropyLoss()
    if pruner.parameters():
        pruner.watch(optimizer)

    def train():
        for x, y in small_batches(4):
            optimizer.zero_grad()
            (loss(model(x), y) + pruner.penalty()).backward()
            optimizer.step()
            pruner.step()

    if "rounds" in pruner.recipe.schedule.counts:
        for _ in pruner.rounds():
            train()
    else:
        train()


def check_units(model, pruner):
    """Of units that reach over layers: six heads, or two residual branches, in one group."""
    ((name, group),) = pruner.targets.items()
    wanted = 0.5 if pruner.recipe.allocation.name == "per_layer" else pruner.recipe.schedule.final
    if pruner.recipe.allocation.name not in BY_SCORE:
        assert len(pruner.plan[name]) == round(group.units * wanted)
    for n, mask in pruner.masks.items():
        assert not bool(model.get_parameter(n)[~mask].any())


def check_counts(model, pruner):
    recipe, final = pruner.recipe, pruner.recipe.schedule.final
    units = {n: recipe.structure.count(t.shape) for n, t in pruner.targets.items()}
    gone = {}
    for name, target in pruner.targets.items():
        weight, mask = model.get_parameter(name), pruner.masks[name]
        assert not bool(weight[~mask].any())
        assert int((weight == 0).sum()) == int((~mask).sum()), "a survivor is zero"
        size = weight.numel() // units[name]
        gone[name], rest = divmod(int((~mask).sum()), size)
        assert rest == 0, "a unit went in part"
        assert all(not bool(model.get_parameter(f)[~pruner.masks[f]].any()) for f in target.followers if f in pruner.masks)
    if recipe.allocation.name in BY_SCORE:
        return
    if recipe.allocation.name == "per_layer":
        assert gone == {n: round(0.5 * u) for n, u in units.items()}
    elif recipe.allocation.name == "uniform":
        assert gone == {n: round(final * u) for n, u in units.items()}
    elif (
        len(sizes := {pruner.prunable // sum(units.values()), *(model.get_parameter(n).numel() // units[n] for n in units)}) == 1
    ):
        assert sum(gone.values()) == round(final * sum(units.values()))
    else:  # units of unequal size: as near as one unit allows
        removed = sum(int((~m).sum()) for m in pruner.masks.values())
        assert abs(removed - final * pruner.prunable) <= max(sizes) / 2 + 1
