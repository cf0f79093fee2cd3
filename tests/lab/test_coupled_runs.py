"""In the lab, structures of whole units are coupled without a word in the file."""

from __future__ import annotations

import pytest
from lab_runs import KINDS, small

from secateur import Recipe, shrink_
from secateur.lab import Experiment, load_model, run
from secateur.structure import Filters, Weights
from secateur.training import Task
from secateur.training.data import load_data

YAML = """
version: 1
task: digits
model: digits_cnn
recipe:
  structure: {name: filters}
  allocation: {name: uniform}
  schedule: {name: one_shot, sparsity: 0.5}
  recovery: {name: finetune, epochs: 0}
training: {epochs: 1}
"""


def test_filters_of_a_file_reach_over_layers(tmp_path):
    (tmp_path / "e.yaml").write_text(YAML)
    experiment = Experiment.load(tmp_path / "e.yaml")
    run(experiment, tmp_path)
    model = load_model(experiment, tmp_path).eval()
    dead = (model.conv1.weight == 0).flatten(1).all(1)
    assert int(dead.sum()) == 8
    assert bool((model.conv2.weight[:, dead] == 0).all()), "what reads a filter goes with it"
    assert bool((model.conv2.weight[:, ~dead] != 0).flatten(2).any(2).any(0).all())
    x = Task(load_data("digits")).example_inputs()
    assert x.shape == (2, 1, 8, 8)
    shrunk = shrink_(model, x)
    assert (model.conv1.out_channels, model.conv2.out_channels, model.fc1.out_features) == (8, 16, 32)
    assert shrunk.error < 1e-10


def test_a_compression_counts_the_weights_that_read_a_unit(finished):
    root = finished(KINDS["filters"])
    result = run(KINDS["filters"], root)
    assert 3 <= result["compression"] < 3.2
    model = load_model(KINDS["filters"], root).eval()
    parameters = sum(p.numel() for p in model.parameters())
    shrink_(model, Task(load_data("digits")).example_inputs())
    assert parameters / sum(p.numel() for p in model.parameters()) == pytest.approx(result["compression"], rel=0.01)


def test_single_weights_are_pruned_without_a_trace(tmp_path, monkeypatch):
    def refuse(*_args):
        raise AssertionError("traced")

    monkeypatch.setattr("secateur.graph.analysis.analyse", refuse)
    run(small(recipe=Recipe(structure=Weights())), tmp_path)


def test_ids_of_earlier_results_stay():
    assert small(recipe=Recipe(structure=Filters())).recipe.id == "5582be524070"
