from __future__ import annotations

import dataclasses as dc
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import secateur as sc
from secateur import Recipe, RecipeError
from secateur.allocation import Global, PerLayer, StdThreshold, Uniform
from secateur.core.component import choices
from secateur.core.files import parse_yaml
from secateur.recovery import Finetune, KeepTraining, Reinitialize, Rewind
from secateur.schedule import Cubic, Iterative, OneShot
from secateur.score import Magnitude, Random, Snip
from secateur.structure import NM, Blocks, Filters, Kernels, Weights
from secateur.testing import small_model

DEFAULT_FILE = """\
version: 1
structure:
  name: weights
score:
  name: magnitude
  p: 1.0
  penalty: 0.0
allocation:
  name: global
  floor: 1
schedule:
  name: one_shot
  sparsity: 0.5
  iterations: 1
  at_training_step: 0
recovery:
  name: keep_training
  recalibrate: 0
include: []
exclude: []
prune_classifier: false
"""


def recipes():
    """Sentences that fit together."""
    fraction = st.floats(0, 0.5)
    names = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)
    rounds = st.builds(OneShot, sparsity=fraction) | st.builds(Iterative, rounds=st.integers(1, 3), rate=st.floats(0, 0.2))
    structure = st.sampled_from([Weights(), Blocks(shape=(4, 2)), NM(), Kernels(reduce="max"), Filters()])
    allocation = st.just(Global()) | st.just(Uniform()) | st.builds(
        PerLayer, sparsity=st.dictionaries(names, fraction, max_size=3).map(lambda d: tuple(d.items())), other=fraction
    )  # fmt: skip
    recovery = st.sampled_from([KeepTraining(), Finetune(learning_rate=1e-3), Rewind(to=7), Reinitialize(seed=2)])
    score = st.sampled_from([Magnitude(), Magnitude(p=2), Random(seed=9), Snip()])
    return st.builds(
        Recipe, structure=structure, score=score, allocation=allocation, schedule=rounds, recovery=recovery,
        include=st.lists(names, max_size=2).map(tuple), exclude=st.lists(names, max_size=2).map(tuple),
        prune_classifier=st.booleans(),
    )  # fmt: skip


@given(recipes())
def test_a_recipe_comes_back_from_every_form(recipe):
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.from_yaml(recipe.to_json()) == recipe
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe
    assert Recipe.from_dict(recipe.to_dict(minimal=True)) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert len({recipe, dc.replace(recipe)}) == 1
    assert Recipe.from_yaml(recipe.to_yaml()).id == recipe.id


def test_the_file_is_explicit():
    assert Recipe().to_yaml() == DEFAULT_FILE
    assert parse_yaml(Recipe().to_json(), "x") == Recipe().to_dict()


def test_a_file_may_be_brief():
    recipe = Recipe.from_yaml("{score: {name: magnitude, p: 2e0}, allocation: uniform, exclude: [head*]}")
    assert recipe == Recipe(score=Magnitude(p=2), allocation=Uniform(), exclude=("head*",))
    assert Recipe.from_yaml("schedule: {name: cubic, sparsity: 9e-1}").schedule == Cubic(sparsity=0.9)
    assert Recipe.from_yaml("{}") == Recipe()


def test_load(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(Recipe(structure=Filters()).to_yaml())
    assert Recipe.load(path) == Recipe(structure=Filters())
    with pytest.raises(RecipeError, match="there is no file"):
        Recipe.load(tmp_path / "other.yaml")


def test_the_id_depends_on_what_differs_from_the_defaults_alone():
    assert Recipe().to_dict(minimal=True) == {}
    assert Recipe().id == "44136fa355b3", "sha256 of {}: stable for ever, or every experiment is renamed"
    one = Recipe(schedule=OneShot(sparsity=0.9))
    assert one.to_dict(minimal=True) == {"schedule": {"name": "one_shot", "sparsity": 0.9}}
    assert one.id == Recipe(schedule=OneShot(sparsity=0.9), score=Magnitude(p=1)).id
    assert len({r.id for r in (Recipe(), one, Recipe(structure=Filters()), Recipe(prune_classifier=True))}) == 4


ERRORS = [
    ("{version: 2}", "this recipe has version 2; this release reads version 1: upgrade secateur to read it"),
    ("{version: one}", "this recipe has version 'one'; this release reads version 1: upgrade secateur to read it"),
    (
        "{scor: magnitude}",
        "a recipe has no part 'scor'; it has 'structure', 'score', 'allocation', 'schedule', 'recovery', 'include', "
        "'exclude', 'prune_classifier'",
    ),
    (
        "{score: magnitud}",
        "unknown score 'magnitud'; did you mean 'magnitude'? known: " + ", ".join(choices("score")),
    ),
    ("{score: {name: magnitude, power: 2}}", "score 'magnitude' has no parameter 'power'; it has 'p', 'penalty'"),
    ("{allocation: {name: uniform, s: 1}}", "allocation 'uniform' has no parameter 's'; it has none"),
    (
        "{schedule: 0.9}",
        "schedule must be a name or a mapping with a 'name'; got 0.9; known: cubic, drop_grow, iterative, one_shot, polynomial",
    ),
    ("{schedule: {name: one_shot, sparsity: 90}}", "schedule 'one_shot': sparsity must be ≥ 0 and < 1; got 90"),
    ("{schedule: {name: one_shot, sparsity: 90%}}", "schedule 'one_shot': sparsity must be a number; got '90%'"),
    ("{schedule: {name: one_shot, sparsity: .nan}}", "schedule 'one_shot': sparsity must be a finite number; got nan"),
    ("{include: conv1}", "recipe: include must be a list; got 'conv1'"),
    ("{exclude: [1]}", "recipe: exclude[0] must be a text; got 1"),
    ("{prune_classifier: maybe}", "recipe: prune_classifier must be true or false; got 'maybe'"),
    ("[]", "the recipe must be a mapping of names to values; it is list"),
    ("{score", "the recipe is not valid YAML at line 1: expected ',' or '}', but got '<stream end>'"),
]


@pytest.mark.parametrize(("text", "sentence"), ERRORS, ids=[t for t, _ in ERRORS])
def test_every_kind_of_bad_file_has_its_sentence(text, sentence):
    with pytest.raises(RecipeError) as e:
        Recipe.from_yaml(text)
    assert str(e.value) == sentence


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "structure", "score", "schedule", "version", "include", "sparsity", "p", "x"]), inner, max_size=3
    ),
))  # fmt: skip
def test_no_mapping_crashes_it(value):
    try:
        found = Recipe.from_dict(value if isinstance(value, dict) else {"score": value})
    except RecipeError:
        return
    assert isinstance(found, Recipe)


SCORES = ", ".join(c.__name__ for c in choices("score").values())


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"score": "magnitude"}, f"score must be one of {SCORES}; got 'magnitude'; e.g. score=Magnitude()"),
        ({"score": Weights()}, f"score must be one of {SCORES}; got Weights(); e.g. score=Magnitude()"),
        (
            {"structure": None},
            "structure must be one of Blocks, Filters, Heads, Inputs, Kernels, Layers, Neurons, NM, Weights; got None; "
            "e.g. structure=Weights()",
        ),
    ],
)
def test_a_part_of_the_wrong_kind(parts, sentence):
    with pytest.raises(RecipeError) as e:
        Recipe(**parts)
    assert str(e.value) == sentence


def test_a_class_for_an_instance():
    with pytest.raises(RecipeError, match=r"allocation must be one of .*; got <class .*Uniform'>; e\.g\. allocation=Global\(\)"):
        Recipe(allocation=Uniform)


def test_lists_become_tuples():
    assert Recipe(include=["a", "b"]).include == ("a", "b")
    assert hash(Recipe(include=["a"])) == hash(Recipe(include=("a",)))


def test_recipes_are_frozen_and_keyword_only():
    with pytest.raises(dc.FrozenInstanceError):
        Recipe().score = Random()
    with pytest.raises(TypeError):
        Recipe(Weights())


def test_at():
    assert Recipe(schedule=Cubic(sparsity=0.5)).at(0.9) == Recipe(schedule=Cubic(sparsity=0.9))
    with pytest.raises(RecipeError) as e:
        Recipe(allocation=StdThreshold(quality=1.0)).at(0.9)
    assert str(e.value) == (
        "allocation 'std_threshold' sets each layer's sparsity itself; a target for the whole model cannot move it"
    )


def test_wrong_types_where_a_recipe_is_wanted():
    model = small_model()
    for wrong in ("magnitude", None, {"score": "magnitude"}):
        with pytest.raises(RecipeError, match=r"recipe must be a secateur\.Recipe; got (str|NoneType|dict)"):
            sc.Pruner(model, wrong)
    with pytest.raises(sc.ModelError, match=r"model must be a torch\.nn\.Module; got str"):
        sc.Pruner("resnet", Recipe())
