from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import secateur.methods
from secateur import Pipeline, Pruner, Recipe
from secateur.core.component import AXES
from secateur.core.errors import RecipeError
from secateur.methods import METHODS, han_2015, make, method

GOLDEN = {
    "deep_compression": "54b451024678",
    "exact_obs": "d115acaeb6f2",
    "fpgm": "22406d4459ca",
    "global_gradient": "9df82bb73eaa",
    "global_magnitude": "22923f24ffeb",
    "grasp": "32dc0d40d586",
    "han_2015": "1ea8853e04c6",
    "lamp": "2448187649cf",
    "l0_hard_concrete": "0e77e302505b",
    "layer_gradient": "0f34fa9866a0",
    "layer_magnitude": "cfbef83dd80c",
    "li_2016": "9ffcdb218cbd",
    "obd": "75e78e5727bf",
    "movement": "0dcc077dc28d",
    "random": "5ca3ca86ed46",
    "rigl": "7038f97901ad",
    "set_2018": "fc483d9b7ca6",
    "snip": "e67b674f0907",
    "synflow": "eaa1311ed8f7",
    "soft_movement": "46617a072cee",
    "taylor_fo": "c2c37e635b9b",
    "variational_dropout": "edb5d7ea17ae",
    "zhu_gupta_2018": "06a300023fa3",
}


def test_the_catalogue():
    assert GOLDEN.keys() <= METHODS.keys()
    assert [m.name for m in METHODS.values() if m.control] == ["random"]
    public = set(secateur.methods.__all__) - {"METHODS", "Method", "make", "method"}
    assert public == METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_where_it_comes_from(name):
    m = METHODS[name]
    assert m.paper.split(", ")[-1].isdigit()  # authors, title, year
    assert m.source.startswith(("arXiv:", "https://", "doi:"))
    assert len(m.claim.split()) > 5
    assert all(r.endswith(".json") for r in m.results)
    assert inspect.getdoc(m.build)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in inspect.signature(m.build).parameters.values())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_one_sentence(name):
    made = make(name)
    assert type(made) in (Recipe, Pipeline)
    assert made == METHODS[name].build()
    assert type(made).from_yaml(made.to_yaml()) == made
    recipe = METHODS[name].recipe()
    assert recipe == (made.prune if isinstance(made, Pipeline) else made)
    assert METHODS[name].axes() == {a: getattr(recipe, a).name for a in AXES}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_ids(name):
    assert make(name).id == GOLDEN[name]


RECIPES = {n: m.recipe() for n, m in METHODS.items()}
LEARNED = [n for n, r in RECIPES.items() if "learned" in r.score.needs]  # they prune when they are trained


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if not r.structure.couples and n not in LEARNED])
def test_every_method_prunes(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    batch = (torch.randn(8, 12), torch.randint(3, (8,)))
    made = make(name, sparsity=0.75)
    recipe = made.prune if isinstance(made, Pipeline) else made
    pruner = Pruner(model, recipe, data=[batch])
    if "rounds" in recipe.schedule.counts:
        for _ in pruner.rounds():
            for _ in range(recipe.recovery.snapshot_at or 0):
                pruner.step()
    else:
        pruner.prune()
    most = 0.85 if recipe.recovery.to_dict().get("drop_dead") else 0.751  # dead neurons go on top of what was asked for
    assert 0.749 <= pruner.sparsity <= most


@pytest.mark.parametrize("name", LEARNED)
def test_every_learned_method_prunes_at_the_end_of_its_training(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    x, y = torch.randn(8, 12), torch.randint(3, (8,))
    accepts = METHODS[name].build.__kwdefaults__
    wanted = {"sparsity": 0.75, "steps": 8, "end": 8, "every": 4, "begin": 0, "examples": 8, "threshold": 0.5}
    recipe = make(name, **{k: v for k, v in wanted.items() if k in accepts})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    pruner = Pruner(model, recipe, optimizer=optimizer)
    for _ in range(8):
        optimizer.zero_grad()
        (nn.functional.cross_entropy(model(x), y) + pruner.penalty()).backward()
        optimizer.step()
        pruner.step()
    assert pruner.parameters() == []
    if "sparsity" in accepts:
        assert pruner.sparsity == pytest.approx(0.75, abs=0.03)  # columns are of different sizes
    else:
        assert 0 < pruner.sparsity < 1


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("randon", {}, "unknown method 'randon'; did you mean 'random'?"),
        ("random", {"speed": 1}, "method 'random' has no argument 'speed'; it has 'sparsity', 'epochs', 'learning_rate', 'seed'"),
        ("random", {"name": 1}, "method 'random' has no argument 'name'"),
        ("random", {"sparsity": "high"}, "method 'random': sparsity must be a number; got 'high'"),
        ("random", {"seed": 0.5}, "method 'random': seed must be a whole number; got 0.5"),
        ("random", {"sparsity": 1.0}, "schedule 'one_shot': sparsity must be ≥ 0 and < 1; got 1"),
        ("han_2015", {"sparsity": 1.5}, "the fraction removed must be ≥ 0 and < 1; got 1.5"),
        ("han_2015", {"rounds": 0}, "schedule 'iterative': rounds must be ≥ 1; got 0"),
        ("han_2015", {"quality": -1.0}, "allocation 'std_threshold': quality must be > 0; got -1"),
        ("zhu_gupta_2018", {"end": 950}, "the nearest end that fits is 1000"),
        ("global_magnitude", {"epochs": None}, "method 'global_magnitude': epochs must be a number; got None"),
    ],
)
def test_wrong_arguments_are_one_sentence(name, arguments, sentence):
    with pytest.raises(RecipeError) as e:
        make(name, **arguments)
    assert sentence in str(e.value)


def test_han_with_a_literal_threshold():
    """W = (1, −1, 3, −3): the mean is 0 and σ = √5 ≈ 2.236, so that with q = 1 only ±3 stay; then ±3 has σ = 3 and all go."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0], [3.0, -3.0]]))
    recipe = han_2015(quality=1.0, rounds=1)
    assert (recipe.prune_classifier, recipe.allocation.of) == (True, "survivors")
    pruner = Pruner(model, recipe)
    for _ in pruner.rounds():
        pass
    assert model[0].weight.tolist() == [[0.0, 0.0], [3.0, -3.0]]
    assert pruner.sparsity == 0.5
    softer = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        softer[0].weight.copy_(torch.tensor([[1.0, -1.0], [3.0, -3.0]]))
    for _ in Pruner(softer, han_2015(quality=0.4, rounds=1)).rounds():  # 0.4 · 2.236 = 0.894 < 1
        pass
    assert softer[0].weight.tolist() == [[1.0, -1.0], [3.0, -3.0]]


def test_han_lowers_dropout_by_the_square_root_of_what_is_left():
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 4))
    for _ in Pruner(model, han_2015(sparsity=0.75, rounds=2)).rounds():
        pass
    left = float((model[0].weight != 0).float().mean())
    assert model[2].p == pytest.approx(0.5 * left**0.5)
    assert model[2].p < 0.4


def test_registering_a_method_of_ones_own(monkeypatch):
    monkeypatch.setattr("secateur.methods._registry.METHODS", METHODS)

    @method(paper="Somebody, Something, 2030", source="arXiv:0000.00000", claim="one more file is one more method")
    def mine(*, sparsity: float = 0.5) -> Recipe:
        return make("random", sparsity=sparsity)

    try:
        assert make("mine", sparsity=0.3).schedule.final == 0.3
        assert METHODS["mine"].build is mine
    finally:
        del METHODS["mine"]
