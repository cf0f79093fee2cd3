from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur import Pipeline, Recipe, Share
from secateur.core.errors import RecipeError
from secateur.methods import METHODS, deep_compression
from secateur.pipeline import Code

pipelines = st.builds(
    Pipeline, prune=st.sampled_from([m.recipe() for m in METHODS.values()]),
    share=st.builds(Share, conv=st.none() | st.integers(1, 16), layers=st.lists(
        st.tuples(st.text("ab.*?[]é", max_size=5), st.integers(0, 16)), max_size=3).map(tuple), epochs=st.floats(0, 1e6)),
    code=st.builds(Code, coder=st.sampled_from(["range", "rans", "huffman", "none"]), index_bits=st.none() | st.integers(1, 8)),
)  # fmt: skip


@given(pipelines)
def test_yaml_json_and_pickle_both_ways(pipeline):
    assert Pipeline.from_yaml(pipeline.to_yaml()) == pipeline
    assert Pipeline.from_yaml(pipeline.to_json()) == pipeline
    assert Pipeline.from_dict(json.loads(pipeline.to_json())) == pipeline
    assert Pipeline.from_dict(pipeline.to_dict(minimal=True)) == pipeline
    assert pickle.loads(pickle.dumps(pipeline)) == pipeline
    assert hash(Pipeline.from_yaml(pipeline.to_yaml())) == hash(pipeline)
    assert Pipeline.from_yaml(pipeline.to_yaml()).id == pipeline.id


def test_the_id_depends_on_what_differs_from_the_defaults_alone():
    """Names of folders that people keep: none of these may ever change."""
    assert Pipeline().id == "44136fa355b3" == Pipeline(share=Share(conv=8)).id
    assert deep_compression().id == "54b451024678"
    assert len({Pipeline().id, Pipeline(share=Share(conv=7)).id, Pipeline(code=Code(index_bits=4)).id}) == 3


def test_a_file(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text("share: {linear: 6}\ncode: {coder: huffman}\n")
    assert Pipeline.load(path) == Pipeline(share=Share(linear=6), code=Code(coder="huffman"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("shar: {}", "a pipeline has no part 'shar'; it has 'prune', 'share', 'code'"),
     ("share: 3", "pipeline: share must be a mapping of names to values; got 3"),
     ("share: {bits: 3}", "share has no parameter 'bits'; it has 'conv', 'linear'"),
     ("code: {coder: zip}", "code: coder must be one of range, rans, huffman, none; got 'zip'"),
     ("version: 2", "this pipeline has version 2; this release reads version 1")],
)  # fmt: skip
def test_refuses(text, sentence):
    with pytest.raises(RecipeError, match=sentence):
        Pipeline.from_yaml(text)


def test_refuses_a_stage_of_another_kind():
    with pytest.raises(RecipeError, match=r"pipeline: share must be a Share; got Recipe.*; e.g. share=Share\(\)"):
        Pipeline(share=Recipe())  # type: ignore[arg-type]
