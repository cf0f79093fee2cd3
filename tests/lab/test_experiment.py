from __future__ import annotations

import dataclasses as dc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur import Recipe
from secateur.core.errors import RecipeError
from secateur.core.files import parse_yaml
from secateur.lab import Experiment
from secateur.lab.experiment import CONTROLS
from secateur.methods import METHODS, make
from secateur.recovery import Rewind
from secateur.schedule import Iterative
from secateur.training import Training


def test_golden_ids():
    """Names of folders that people keep: none of these may ever change."""
    assert Experiment().id == "44136fa355b3"
    training = Training(epochs=8, batch_size=128)
    assert Experiment(task="mnist", model="lenet_5", seed=3, training=training).id == "34b0491e0fb5"
    assert Experiment(method="global_magnitude", compression=8).id == "cf5e0dc780b9"
    han = {"method": "han_2015", "method_arguments": {"rounds": 3}}
    assert Experiment(**han, start="initial", model_arguments={"dropout": 0.5}).id == "ec4173b25599"


def test_the_id_depends_on_what_differs_from_the_defaults_alone():
    assert Experiment(seed=0, task="digits", training=Training(epochs=10)).id == Experiment().id
    changes = [
        {"seed": 1}, {"task": "mnist"}, {"model": "digits_cnn"}, {"task_options": {"a": 1}}, {"model_arguments": {"a": 1}},
        {"pretrained": "a"}, {"training": Training(epochs=11)}, {"method": "random"}, {"recipe": Recipe()},
        {"recipe": Recipe(), "compression": 2}, {"recipe": Recipe(), "start": "initial"},
        *({"recipe": Recipe(), "control": c} for c in CONTROLS),
    ]  # fmt: skip
    assert len({Experiment(**c).id for c in changes} | {Experiment().id}) == len(changes) + 1


def test_a_label_does_not_change_the_id():
    one = Experiment(method="global_magnitude", method_arguments={"sparsity": 0.8})
    same = [
        Experiment(recipe=make("global_magnitude", sparsity=0.8)),
        Experiment(recipe=one.recipe, method="my own name for it"),
        Experiment.from_dict(one.to_dict()),
    ]
    assert {e.id for e in same} == {one.id}


def test_the_order_of_arguments_does_not_matter():
    a = Experiment(model_arguments={"dropout": 0.1, "classes": 10})
    b = Experiment(model_arguments=(("classes", 10), ("dropout", 0.1)))
    assert a == b
    assert a.id == b.id


def test_dense():
    pruned = Experiment(task="mnist", model="lenet_5", method="random", method_arguments={"seed": 3}, compression=4, seed=2)
    assert pruned.dense() == Experiment(task="mnist", model="lenet_5", seed=2) == pruned.dense().dense()


plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
options = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda k: k != "folder"), st.one_of(plain, st.lists(plain, max_size=3)), max_size=3
)
trainings = st.builds(
    Training, epochs=st.floats(0, 1e6), clip=st.none() | st.floats(1e-9, 1e9), patience=st.none() | st.integers(1, 9)
)
pruned = st.fixed_dictionaries(
    {"method": st.sampled_from([m for m in sorted(METHODS) if isinstance(r := make(m), Recipe) and not r.recovery.snapshot_at]),
     "compression": st.none() | st.floats(1, 1e6), "start": st.sampled_from(["dense", "initial"]),
     "control": st.none() | st.sampled_from(CONTROLS)}
)  # fmt: skip
experiments = st.builds(
    lambda pruned, **parts: Experiment(**parts, **pruned),
    task=st.sampled_from(["digits", "mine:load"]),
    task_options=options,
    model_arguments=options,
    seed=st.integers(0, 2**60),
    training=trainings,
    pruned=st.just({}) | pruned,
)


@pytest.mark.parametrize("text", ["1e3", "1E-3", "a\x85b", "\u2028", "yes", "null", "1.5", "~", " a ", "a\nb", "#", "é"])
def test_texts_that_yaml_would_take_for_something_else(text):
    experiment = Experiment(model_arguments={"a": text, text: 1})
    assert Experiment.from_dict(parse_yaml(experiment.to_yaml(), "it")) == experiment


@given(experiments)
def test_yaml_and_json_both_ways(experiment):
    assert Experiment.from_dict(parse_yaml(experiment.to_yaml(), "it")) == experiment
    assert Experiment.from_dict(json.loads(json.dumps(experiment.to_dict()))) == experiment
    assert Experiment.from_dict(parse_yaml(experiment.to_yaml(), "it")).id == experiment.id
    assert Experiment.from_dict(experiment.to_dict(minimal=True)) == experiment
    assert hash(experiment) == hash(Experiment.from_dict(experiment.to_dict()))


BAD = {
    "": "must be a mapping of names to values; it is NoneType",
    "- a": "must be a mapping of names to values; it is list",
    "a: [": "is not valid YAML at line",
    "taks: digits": "an experiment has no part 'taks'; it has 'task', 'task_options'",
    "version: 2": "this experiment has version 2; this release reads version 1: upgrade secateur to read it",
    "method: magic": "unknown method 'magic'; known: deep_compression, depgraph",
    "method: [a]": "experiment: method must be a text",
    "{method: random, method_arguments: {speed: 1}}": "method 'random' has no argument 'speed'; it has 'sparsity'",
    "{method: random, method_arguments: {sparsity: high}}": "method 'random': sparsity must be a number; got 'high'",
    "{method: random, method_arguments: {sparsity: 2}}": "sparsity must be ≥ 0 and < 1; got 2",
    "{method: han_2015, method_arguments: {sparsity: 2}}": "must be ≥ 0 and < 1; got 2",
    "{method: han_2015, method_arguments: {name: x}}": "method 'han_2015' has no argument 'name'",
    "{method: random, method_arguments: [1, 2]}": "experiment: method_arguments must be a mapping of names to values",
    "method_arguments: {sparsity: 0.5}": "method_arguments are a method's; name the method",
    "training: 5": "experiment: training must be a mapping of names to values; got 5",
    "training: [1]": "experiment: training must be a mapping of names to values",
    "training:": "experiment: training must be a mapping of names to values; got None",
    "training: {speed: 1}": "training has no parameter 'speed'; it has 'epochs'",
    "training: {epochs: many}": "training: epochs must be a number; got 'many'",
    "training: {epochs: -1}": "training: epochs must be ≥ 0; got -1",
    "training: {optimizer: [sgd]}": "training: optimizer must be a text",
    "training: {1: 2}": "training has no parameter 1",
    "recipe: random": "experiment: recipe must be a mapping of names to values; got 'random'",
    "recipe: [random]": "experiment: recipe must be a mapping",
    "recipe: {score: magic}": "unknown score 'magic'",
    "recipe: {score: {name: [a]}}": "unknown score",
    "recipe: {scroe: random}": "a recipe has no part 'scroe'",
    "recipe: {version: 9}": "this recipe has version 9",
    "task_options: [1]": "experiment: task_options must be a mapping of names to values; got [1]",
    "task_options: 3": "experiment: task_options must be a mapping",
    "task_options: {1: 2}": "experiment: task_options must be a mapping",
    "task_options: {folder: x}": "say where data is with --data",
    "model_arguments: {a: {b: 1}}": "experiment: model_arguments: a must be a number, a text, true, false, null, or a list of",
    "model_arguments: {a: 2020-01-01}": "must be a number, a text",
    "model_arguments: {a: .nan}": "must be a number, a text",
    "seed: -1": "experiment: seed must be ≥ 0",
    "seed: 1.5": "experiment: seed must be a whole number",
    "compression: 2": "compression, start and control are for pruned networks; give a method or a recipe",
    "control: scratch_e": "compression, start and control are for pruned networks; give a method or a recipe",
    "{method: random, control: new}": "control must be one of random_reinit, random_mask, scratch_e, scratch_b; got 'new'",
    "{method: random, compression: 0.5}": "experiment: compression must be ≥ 1; got 0.5",
    "{method: random, compression: .inf}": "compression must be a finite number",
    "{method: random, start: middle}": "experiment: start must be one of dense, initial; got 'middle'",
    "model: 5": "experiment: model must be a text",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_one_sentence(text, tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError) as e:
        Experiment.load(file)
    assert BAD[text] in str(e.value)
    assert "\n" not in str(e.value)


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(RecipeError, match="there is no file"):
        Experiment.load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        Experiment.load(tmp_path / "binary.yaml")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), x, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([f.name for f in dc.fields(Experiment)]), junk)
def test_any_value_in_any_place_is_an_experiment_or_a_recipe_error(part, value):
    try:
        found = Experiment.from_dict({part: value})
    except RecipeError:
        return
    assert Experiment.from_dict(found.to_dict()).id == found.id


def test_going_back_needs_a_first_training():
    late = Recipe(schedule=Iterative(rounds=2), recovery=Rewind(to=5))
    assert Experiment(recipe=late).trains_first
    for parts in ({"pretrained": "a.safetensors"}, {"start": "initial"}):
        with pytest.raises(RecipeError, match="goes back to step 5 of the first training"):
            Experiment(recipe=late, **parts)
        Experiment(recipe=dc.replace(late, recovery=Rewind(to=0)), **parts)
