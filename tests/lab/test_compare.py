from __future__ import annotations

import subprocess

import pytest
import torch
from lab_runs import TRAINING

from secateur import save
from secateur.core import environment as place
from secateur.core.errors import DataError, RunError
from secateur.core.resolve import resolve
from secateur.lab import Experiment, Outcome, comparison, grid, load_model, run, run_all
from secateur.lab.verify import check_in_fresh_process, fingerprint

START = Experiment(training=TRAINING)


def test_a_grid_is_everything_with_everything():
    experiments = grid(START, {"random": {"epochs": 1}, "global_magnitude": {}}, (2, 8), (0, 1, 2))
    assert len(experiments) == len({e.id for e in experiments}) == 12
    assert len({e.dense().id for e in experiments}) == 3
    assert {e.compression for e in experiments} == {2.0, 8.0}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("ran")
    return run_all(grid(START, {"random": {"epochs": 1}, "global_magnitude": {"epochs": 1}}, (8,), (0,)), root, workers=1), root


def test_a_comparison(ran):
    outcomes, root = ran
    lost = Outcome(Experiment(method="random", compression=2), error="RunError: no room")
    found = comparison([*outcomes, lost], root, title="two", notes=("one",))
    points = {(p.method, p.target_compression): p for p in found.points}
    dense, random, magnitude = (points[k] for k in (("dense", 1.0), ("random", 8.0), ("global_magnitude", 8.0)))
    assert (dense.control, random.control, magnitude.control) == (True, True, False)
    assert dense.compression == pytest.approx(1, abs=1e-3)  # a neuron that never fires keeps its bias of exactly 0
    assert dense.speedup == 1.0
    assert dense.top1 == dense.dense_top1 == magnitude.dense_top1
    assert 7.9 < random.compression < 8.1
    assert magnitude.top1 > random.top1_before
    assert points["random", 2.0].error == "RunError: no room"
    assert sum(x.total for x in magnitude.layers) == 50_610  # the digits' MLP
    assert {m.method for m in found.mask_pictures} == {"random", "global_magnitude"}
    picture = found.mask_pictures[0].values
    assert (len(picture), len(picture[0])) == (8, 8)
    assert found.recipes["global_magnitude"]["score"]["name"] == "magnitude"


def test_seeds_of_one_recipe_are_one_point_of_its_curve(ran):
    result = ran[0][0].result
    reached = {(0, 0.9): 9.98, (1, 0.9): 10.0, (2, 0.9): 10.03, (0, 0.98): 40.2, (1, 0.98): 39.9, (2, 0.98): 41.5}
    outcomes = [
        Outcome(Experiment(method="lamp", method_arguments={"sparsity": s}, seed=seed), {**result, "compression": c})
        for (seed, s), c in reached.items()
    ]
    found = comparison(outcomes, ran[1], title="")
    assert [p.target_compression for p in found.points] == [9.98, 9.98, 9.98, 39.9, 39.9, 41.5]
    assert [p.compression for p in found.points] == list(reached.values())


def test_what_is_pruned_untrained_is_set_beside_the_dense_network_too(ran):
    dense = next(o for o in ran[0] if o.experiment.recipe is None)
    bare = {**dense.result, "dense_test": None, "dense_validation": None, "dense_id": None, "compression": 8.0}
    untrained = Outcome(Experiment(training=TRAINING, method="snip", start="initial", compression=8), bare)
    found = comparison([dense, untrained], ran[1], title="")
    assert [p.dense_top1 for p in found.points] == [dense.result["test"]["top1"]] * 2


def test_a_fresh_process_answers_alike(ran, tmp_path):
    outcomes, root = ran
    experiment = outcomes[0].experiment
    model, task = load_model(experiment, root), experiment.load_task()
    file, yaml = tmp_path / "a.safetensors", root / experiment.id / "experiment.yaml"
    save(model, file)
    same = check_in_fresh_process(model, task, file, yaml)
    assert same == fingerprint(model, task)
    assert len(same) == 64
    with torch.no_grad():
        model.fc1.bias[0] += 1
    with pytest.raises(RunError, match="gives other answers in a fresh process"):
        check_in_fresh_process(model, task, file, yaml)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RunError, match=r"a fresh process could not load .*a.safetensors"):
        check_in_fresh_process(model, task, file, yaml)


def test_blalocks_figures_by_hand(tmp_path):
    """Only the two hidden layers are prunable: 64·300 and 300·100 of 50 610 parameters; half of each goes."""
    arguments = {"sparsity": 0.5, "epochs": 0}
    result = run(Experiment(training=TRAINING, method="layer_magnitude", method_arguments=arguments), tmp_path)
    left = {name: nonzero for name, total, nonzero in result["layers"] if name.endswith("weight")}
    assert left == {"fc1.weight": 9_600, "fc2.weight": 15_000, "fc3.weight": 1_000}
    assert result["parameters"] == 50_610
    assert 0 <= 25_600 + 410 - result["nonzero"] <= 5  # biases may be 0 by themselves
    assert (result["macs"], result["effective_macs"]) == (50_200, 9_600 + 15_000 + 1_000)
    assert result["speedup"] == 50_200 / 25_600
    assert result["compression"] == 50_610 / result["nonzero"]
    assert result["file_bytes"] < result["dense_bytes"] == 4 * 50_610


def test_a_module_that_fails_while_it_is_imported(tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("1 / 0\n")
    (tmp_path / "unparsable_module.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="'broken_module:f' cannot be imported: broken_module raised ZeroDivisionError"):
        resolve("broken_module:f", "data set", DataError)
    with pytest.raises(DataError, match="unparsable_module raised SyntaxError"):
        resolve("unparsable_module:f", "data set", DataError)


def test_an_installed_package_has_no_commit_of_a_repository_around_it(tmp_path, monkeypatch):
    """A virtual environment inside somebody's repository: that repository's commit says nothing about us."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    file = tmp_path / "environment.py"
    file.write_text("")
    monkeypatch.setattr(place, "__file__", str(file))
    assert place.environment()["commit"] is None
    subprocess.run([*git, "add", "environment.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "b"], check=True)
    commit = place.environment()["commit"]
    assert commit
    assert not commit.endswith("+")
    file.write_text("# changed")
    assert place.environment()["commit"] == f"{commit}+"
