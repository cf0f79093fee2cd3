from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur import RecipeError
from secateur.core.files import dump_yaml, parse_yaml, read_mapping, to_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("-2e3", -2000.0), (".5e1", 5.0), ("1.5e-3", 0.0015), ("3", 3), ("0.9", 0.9),
        ("e3", "e3"), ("'1e-3'", "1e-3"), ("true", True), ("null", None), ("[1, 2e0]", [1, 2.0]), ("1e-3x", "1e-3x"),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, value):
    found = parse_yaml(f"a: {text}", "x")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1, 2", "the recipe is not valid YAML at line 1: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n b: 2\n", "the recipe is not valid YAML at line 2: mapping values are not allowed here"),
        ("", "the recipe must be a mapping of names to values; it is NoneType"),
        ("- a\n- b\n", "the recipe must be a mapping of names to values; it is list"),
        ("just words", "the recipe must be a mapping of names to values; it is str"),
        ("1: a", "the recipe must be a mapping of names to values; it is dict"),
    ],
)
def test_what_is_no_mapping(text, sentence):
    with pytest.raises(RecipeError) as e:
        parse_yaml(text, "the recipe")
    assert str(e.value) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "\x00",
        "a: &x [*x, *y]",
        "{" * 5000,
        "a: 2001-99-99",
        "a: !!timestamp x",
        "a: !!int x",
        "{[]: 1}",
        "a: !!binary é",
    ],
)
def test_hostile_text_is_refused_and_runs_nothing(text):
    with pytest.raises(RecipeError):
        parse_yaml(text, "the recipe")


@given(st.text())
def test_any_text_is_a_mapping_or_a_recipe_error(text):
    try:
        found = parse_yaml(text, "the recipe")
    except RecipeError:
        return
    assert isinstance(found, dict)


def test_files(tmp_path):
    with pytest.raises(RecipeError, match=r"there is no file '.*recipe\.yaml'"):
        read_mapping(tmp_path / "recipe.yaml")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        read_mapping(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        read_mapping(tmp_path / "bytes.yaml")
    (tmp_path / "a.json").write_text(json.dumps({"a": [1, 2.5, None, True]}))
    assert read_mapping(tmp_path / "a.json") == {"a": [1, 2.5, None, True]}


def test_one_canonical_json():
    assert to_json({"b": 1.0, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1.0}'
    assert dump_yaml({"b": 1, "a": "σ"}) == "b: 1\na: σ\n"
