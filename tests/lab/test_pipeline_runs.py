"""A pipeline from one file: pruned, shared, tuned and coded, with every stage an experiment of its own."""

from __future__ import annotations

import dataclasses as dc
import json

import pytest
import torch
from lab_runs import KINDS, small
from typer.testing import CliRunner

from secateur import Pipeline, Recipe, Share, load
from secateur.cli import app
from secateur.codec import inspect_file
from secateur.core.errors import RecipeError
from secateur.lab import Experiment, Outcome, comparison, load_model
from secateur.pipeline import Code
from secateur.schedule import OneShot

EXPERIMENT = KINDS["pipeline"]


def test_each_stage_goes_on_from_the_one_before(finished):
    root = finished(EXPERIMENT)
    pruned = EXPERIMENT.follows()
    assert pruned.pipeline is None
    assert pruned.recipe == EXPERIMENT.pipeline.prune
    assert pruned.dense() == EXPERIMENT.dense()
    before, after = load_model(pruned, root), load_model(EXPERIMENT, root)
    for name, p in after.named_parameters():
        assert torch.equal(p == 0, before.get_parameter(name) == 0), "what was pruned, and nothing else, is zero"
        if p.ndim == 2:
            assert p[p != 0].unique().numel() <= 8
            assert not torch.equal(p, EXPERIMENT.pipeline.share.quantise(name, before.get_parameter(name))), "and it was tuned"
        else:
            assert torch.equal(p, before.get_parameter(name)) is False, "biases are trained with the values"


def test_the_file_and_the_figures(finished):
    root = finished(EXPERIMENT)
    folder = root / EXPERIMENT.id
    file, result = folder / "model.safetensors", json.loads((folder / "result.json").read_text())
    pruned = json.loads((root / EXPERIMENT.follows().id / "result.json").read_text())
    assert result["file_bytes"] == file.stat().st_size < pruned["file_bytes"]
    assert result["nonzero"] == pruned["nonzero"]
    assert result["dense_id"] == EXPERIMENT.dense().id
    assert {r.layout for r in inspect_file(file) if len(r.shape) == 2} == {"gaps"}
    again = load(file, EXPERIMENT.build_model())
    assert EXPERIMENT.load_task().evaluate(again, EXPERIMENT.load_task().data.test) == result["test"]
    assert [h["stage"] for h in result["history"]] == ["tuning shared values"]
    assert result["test_before_recovery"] is not None


def test_run_from_one_yaml(finished, tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT.to_yaml())
    assert Experiment.load(file) == EXPERIMENT
    done = CliRunner().invoke(app, ["run", str(file), "--out", str(finished(EXPERIMENT))])
    assert done.exit_code == 0, done.output
    assert EXPERIMENT.id in done.output
    assert "fc1.weight" in done.output
    assert "gaps" in done.output


def test_another_coder_is_another_run_on_the_same_pruned_network():
    other = dc.replace(EXPERIMENT, method=None, method_arguments=(), pipeline=dc.replace(EXPERIMENT.pipeline, code=Code()))
    assert other.id != EXPERIMENT.id
    assert other.follows() == EXPERIMENT.follows()


def test_a_report_tells_a_pipeline_from_its_recipe(finished):
    root = finished(EXPERIMENT)
    named = [
        EXPERIMENT,
        dc.replace(EXPERIMENT, method=None, method_arguments=(), pipeline=EXPERIMENT.pipeline),
        EXPERIMENT.follows(),
    ]
    read = [Outcome(e, result=json.loads((root / e.id / "result.json").read_text())) for e in named]
    found = comparison(read, root, title="Two")
    names = [p.method for p in found.points]
    assert names == ["deep_compression", f"pipeline {EXPERIMENT.pipeline.id}", f"recipe {EXPERIMENT.recipe.id}"]
    assert found.recipes["deep_compression"]["share"]["linear"] == 3
    assert found.points[0].file_bytes < found.points[2].file_bytes


def test_refuses_a_control_and_another_recipe():
    pipeline = Pipeline(prune=Recipe(schedule=OneShot(sparsity=0.5)), share=Share(linear=2))
    assert small(pipeline=pipeline).recipe == pipeline.prune
    for parts in ({"control": "random_mask"}, {"recipe": Recipe(schedule=OneShot(sparsity=0.7))}):
        with pytest.raises(RecipeError, match="with a pipeline the recipe is its first stage"):
            small(pipeline=pipeline, **parts)
