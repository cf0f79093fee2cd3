from __future__ import annotations

import dataclasses as dc

import pytest

from secateur import RecipeError
from secateur.allocation import PerLayer
from secateur.core import component as registry
from secateur.core.component import AXES, Component, choices, choose, coerce, component, param, snake
from secateur.recovery import Finetune
from secateur.schedule import Iterative
from secateur.score import Magnitude, Score
from secateur.structure import NM, Blocks

SCORES = ", ".join(choices("score"))


def test_the_choices_of_the_five_axes():
    assert {a: list(choices(a)) for a in AXES} == {
        "structure": ["blocks", "filters", "heads", "inputs", "kernels", "layers", "neurons", "nm", "weights"],
        "score": [
            "geometric_median", "grasp", "hard_concrete", "magnitude", "movement", "obd", "obs", "random", "snip",
            "soft_movement", "syn_flow", "taylor", "variational_dropout",
        ],
        "allocation": ["erk", "global", "lamp", "per_layer", "std_threshold", "threshold", "uniform"],
        "schedule": ["cubic", "drop_grow", "iterative", "one_shot", "polynomial"],
        "recovery": ["finetune", "keep_training", "reconstruct", "reinitialize", "rewind", "rewind_learning_rate"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "registered"), [("NM", "nm"), ("StdThreshold", "std_threshold"), ("LAMPScore", "lamp_score"), ("ERK", "erk")]
)
def test_registered_names(name, registered):
    assert snake(name) == registered


@pytest.mark.parametrize(
    ("axis", "given", "sentence"),
    [
        ("score", "magnitde", "unknown score 'magnitde'; did you mean 'magnitude'? known: " + SCORES),
        ("score", "zzz", "unknown score 'zzz'; known: " + SCORES),
        ("score", {"name": "magnitude", "power": 2}, "score 'magnitude' has no parameter 'power'; it has 'p', 'penalty'"),
        ("score", {"name": "snip", "p": 2}, "score 'snip' has no parameter 'p'; it has none"),
        ("structure", {"name": "nm", "k": 2}, "structure 'nm' has no parameter 'k'; it has 'n', 'm'"),
        ("score", {"p": 2}, "score must be a name or a mapping with a 'name'; got {'p': 2}; known: " + SCORES),
        ("score", None, "score must be a name or a mapping with a 'name'; got None; known: " + SCORES),
        ("score", ["magnitude"], "score must be a name or a mapping with a 'name'; got ['magnitude']; known: " + SCORES),
        ("score", {"name": "magnitude", "p": "two"}, "score 'magnitude': p must be a number; got 'two'"),
        ("score", {"name": "magnitude", "p": True}, "score 'magnitude': p must be a number; got True"),
        ("score", {"name": "magnitude", "p": 0}, "score 'magnitude': p must be > 0; got 0"),
        ("score", {"name": "random", "seed": 1.5}, "score 'random': seed must be a whole number; got 1.5"),
        ("structure", {"name": "blocks", "shape": [8]}, "structure 'blocks': shape must be a list of 2; got [8]"),
        ("structure", {"name": "blocks", "shape": 8}, "structure 'blocks': shape must be a list; got 8"),
        ("structure", {"name": "blocks", "shape": [8, 0]}, "structure 'blocks': shape must be ≥ 1; got 0"),
        ("structure", {"name": "blocks", "shape": [8, "a"]}, "structure 'blocks': shape[1] must be a whole number; got 'a'"),
        ("structure", {"name": "blocks", "reduce": "x"}, "structure 'blocks': reduce must be one of mean, sum, max; got 'x'"),
        ("recovery", {"name": "finetune", "drop_dead": 1}, "recovery 'finetune': drop_dead must be true or false; got 1"),
        ("recovery", {"name": "finetune", "learning_rate": 0}, "recovery 'finetune': learning_rate must be > 0; got 0"),
        ("allocation", {"name": "per_layer", "other": 2}, "allocation 'per_layer': other must be ≥ 0 and ≤ 1; got 2"),
        ("allocation", {"name": "per_layer", "sparsity": "fc*"}, "allocation 'per_layer': sparsity must be a list; got 'fc*'"),
    ],
)  # fmt: skip
def test_what_a_file_can_get_wrong(axis, given, sentence):
    with pytest.raises(RecipeError) as e:
        choose(axis, given)
    assert str(e.value) == sentence


def test_unhashable_names_are_refused_too():
    with pytest.raises(RecipeError, match="unknown score"):
        choose("score", {"name": ["magnitude"]})


def test_values_are_normalised():
    assert Magnitude(p=2) == Magnitude(p=2.0)
    assert Blocks(shape=[2, 4]) == Blocks(shape=(2, 4))
    assert hash(Blocks(shape=[2, 4])) == hash(Blocks(shape=(2, 4)))
    assert PerLayer(sparsity={"a": 1}).sparsity == (("a", 1.0),)
    assert Finetune(learning_rate=None).learning_rate is None
    assert Finetune(learning_rate=1).learning_rate == 1.0


def test_forms():
    assert NM(n=1, m=4).to_dict() == {"name": "nm", "n": 1, "m": 4}
    assert Iterative(rounds=5).to_dict(minimal=True) == {"name": "iterative"}
    assert PerLayer(sparsity={"a*": 0.5}).to_dict() == {"name": "per_layer", "sparsity": {"a*": 0.5}, "other": 0.0, "at": None}
    assert choose("score", "magnitude") == Magnitude()
    assert choose("allocation", {"name": "per_layer", "sparsity": [["a*", 0.5]]}) == PerLayer(sparsity={"a*": 0.5})


def test_components_are_frozen():
    with pytest.raises(dc.FrozenInstanceError):
        Magnitude().p = 2


def test_positional_parameters_are_refused():
    with pytest.raises(TypeError):
        Magnitude(2)


def test_coerce_any():
    thing = object()
    assert coerce(thing, __import__("typing").Any, "x") is thing


@pytest.fixture
def registry_copy(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})


def test_a_name_is_taken_once(registry_copy):
    def define(where):
        return type("Magnitude", (Score,), {"__module__": where, "__qualname__": "Magnitude"})

    with pytest.raises(TypeError, match=r"score 'magnitude' is already registered by secateur\.score\.magnitude\.Magnitude"):
        define("elsewhere")
    define("secateur.score.magnitude")  # a module loaded anew may define it again


def test_a_required_parameter(registry_copy):
    @component
    class Needy(Score):
        rank: int = param(ge=1)

        def __call__(self, weight, statistics):
            return weight

    with pytest.raises(RecipeError) as e:
        choose("score", "needy")
    assert str(e.value) == "score 'needy' needs 'rank'"
    assert choose("score", {"name": "needy", "rank": 2}) == Needy(rank=2)


def test_a_component_goes_with_everything_unless_it_says_so():
    assert Component.conflict(Magnitude(), NM()) is None
