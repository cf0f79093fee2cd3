"""A sweep's file, what it makes of it, and what it leaves out."""

from __future__ import annotations

import dataclasses as dc
import itertools
import json
import sys
from pathlib import Path

import pytest

from secateur.core.errors import DataError, ModelError, RecipeError
from secateur.lab import Experiment, Network, Sweep, make_plan
from secateur.methods import METHODS
from secateur.training import Training

SMALL = {"task": "digits", "model": "digits_mlp", "training": {"epochs": 4}, "finetune": {"epochs": 2, "learning_rate": 0.02}}


def sweep(**parts):
    return Sweep.from_dict({"networks": [SMALL], "compressions": [2, 8], "seeds": [0, 1], **parts})


def test_the_file_form_is_read_back(tmp_path):
    file = tmp_path / "sweep.yaml"
    first = sweep(methods=["lamp", {"slow": {"method": "lamp", "rounds": 9, "compressions": [4]}}, {"snip": {"prunes": "dense"}}])
    file.write_text(first.to_yaml())
    again = Sweep.load(file)
    assert again == first
    assert again.id == first.id != dc.replace(first, seeds=(0,)).id
    assert hash(first)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"method": []}, "a sweep has no part 'method'; it has 'title', 'networks', 'methods'"),
        ({"version": 2}, "this sweep has version 2; this release reads version 1"),
        ({"methods": ["lamb"]}, "unknown method 'lamb'; did you mean 'lamp'"),
        ({"methods": [{"lamp": {"round": 3}}]}, "method 'lamp' has no argument 'round'; it has 'sparsity', 'rounds'"),
        ({"methods": {"lamp": {"rounds": "many"}}}, "method 'lamp': rounds must be a whole number; got 'many'"),
        ({"methods": {"snip": {"prunes": "nothing"}}}, "method 'snip': prunes must be one of dense, initial; got 'nothing'"),
        ({"methods": {"snip": {"compressions": 4}}}, "method 'snip': compressions must be a list of ratios > 1 or 'own'; got 4"),
        ({"methods": [3]}, "a method is its name, or a mapping of its name to its arguments; got 3"),
        ({"methods": ["lamp", "lamp"]}, "the method 'lamp' is named twice; give one a name of its own"),
        ({"methods": 3}, "sweep: methods must be a list of names"),
        ({"methods": {"magnitude": {"p": -1}}}, "score 'magnitude': p must be > 0; got -1"),
        ({"compressions": [1]}, "sweep: a compression is parameters / non-zero parameters, > 1; got 1"),
        ({"compressions": 4}, "sweep: compressions must be a list of ratios > 1; got 4"),
        ({"compressions": ["x"]}, "sweep: compressions must be a number; got 'x'"),
        ({"seeds": []}, "sweep: seeds must be a list of whole numbers; got "),
        ({"seeds": [-1]}, "sweep: seeds must be ≥ 0; got -1"),
        ({"controls": ["scratch"]}, "the control 'scratch' trains the masks of 'magnitude' anew; add it"),
        ({"controls": ["randon"]}, "sweep: unknown control 'randon'; did you mean 'random'"),
        ({"controls": []}, "there is nothing to run; name methods"),
        ({"networks": []}, "sweep: networks must be a list of at least one"),
        ({"networks": ["digits_mlp"]}, "a network is a mapping with task and model; got 'digits_mlp'"),
        ({"networks": [{"seed": 3}]}, "a network has no part 'seed'; it has 'task', 'task_options', 'model'"),
        ({"networks": [{"training": {"epoch": 3}}]}, "training has no parameter 'epoch'"),
        ({"networks": [{"finetune": {"epochs": -3}}]}, "finetune: epochs must be ≥ 0; got -3"),
        ({"networks": [{"finetune": 3}]}, "finetune must be a mapping of names to values; got 3"),
        ({"imports": ["no_such_file.py"]}, "there is no file 'no_such_file.py'; give the path of a Python file"),
        ({"title": 3}, "sweep: title must be a text; got 3"),
    ],
)
def test_a_mistake_is_one_sentence(parts, sentence):
    with pytest.raises(RecipeError) as e:
        sweep(**parts)
    assert sentence in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("network", "error", "sentence"),
    [
        ({"task": "digitz"}, DataError, "unknown data set 'digitz'; did you mean 'digits'"),
        ({"model": "digits_mpl"}, ModelError, "unknown model 'digits_mpl'; did you mean 'digits_mlp'"),
        ({"model_arguments": {"widht": 3}}, ModelError, "model 'digits_mlp' has no parameter 'widht'"),
    ],
)
def test_a_network_that_is_none_is_told_before_any_run(network, error, sentence, tmp_path):
    with pytest.raises(error) as e:
        make_plan(sweep(networks=[{**SMALL, **network}]), tmp_path)
    assert sentence in str(e.value)


def test_controls_are_added_unless_refused(tmp_path):
    labels = ["dense", "random", "global_magnitude", "global_magnitude, scratch_e", "lamp"]
    plan = make_plan(sweep(methods=["lamp"]), tmp_path)
    assert list(dict.fromkeys(e.label for e in plan.experiments)) == labels
    assert len(plan.experiments) == len({e.id for e in plan.experiments}) == 2 * (1 + 4 * 2)
    refused = make_plan(sweep(methods=["lamp"], controls=[]), tmp_path)
    assert {e.label for e in refused.experiments} == {"lamp"}
    each = make_plan(sweep(methods=["lamp"], controls=["random_mask"]), tmp_path)
    assert {e.label for e in each.experiments} == {"lamp", "lamp, random_mask"}
    own = make_plan(sweep(methods={"global_magnitude": {"epochs": 1}}, controls=["magnitude"]), tmp_path)
    assert {e.recipe.recovery.epochs for e in own.experiments} == {1.0}


def test_a_seed_at_a_time(tmp_path):
    """What is there after a third of the time is a comparison."""
    plan = make_plan(sweep(methods=["lamp", "snip"], seeds=[3, 1]), tmp_path)
    assert [s for s, _ in itertools.groupby(e.seed for e in plan.experiments)] == [3, 1]


def test_every_method_has_the_same_start_and_the_same_training(tmp_path):
    plan = make_plan(sweep(methods="all"), tmp_path)
    pruned = [e for e in plan.experiments if e.recipe is not None]
    assert {e.dense() for e in pruned} == {e for e in plan.experiments if e.recipe is None}
    assert len({e.training for e in plan.experiments}) == 1
    tuned = [e for e in pruned if e.recipe.recovery.name == "finetune"]
    assert len({e.label for e in tuned}) >= 10
    for e in tuned:
        rounds = getattr(e.recipe.schedule, "rounds", 1)
        assert e.recipe.recovery.epochs * rounds == pytest.approx(2), e.label
        assert e.recipe.recovery.learning_rate == 0.02, e.label
    assert {e.recipe.score.seed for e in pruned if e.label == "random"} == {0, 1}
    assert {e.start for e in pruned if e.label in ("snip", "grasp", "synflow", "rigl", "set_2018")} == {"initial"}


def test_all_is_every_published_method_that_fits(tmp_path):
    plan = make_plan(sweep(methods=["all", {"lamp": {"rounds": 2}}]), tmp_path)
    there, out = {e.method for e in plan.experiments} - {None}, {x.method for x in plan.left_out}
    assert there | out == set(METHODS)
    assert out == {"depth", "michel_2019", "network_slimming", "soft_movement"}  # of an MLP of linear layers
    assert {e.recipe.schedule.rounds for e in plan.experiments if e.method == "lamp"} == {2}
    assert all(x.network == "digits_mlp on digits" and len(x.why) > 20 for x in plan.left_out)


def test_only_the_cell_that_cannot_be_is_left_out(tmp_path):
    plan = make_plan(sweep(methods=["soft_movement"], compressions=[2, 30, 1000]), tmp_path)
    by_magnitude = {e.compression for e in plan.experiments if e.label == "global_magnitude"}
    assert by_magnitude == {2.0, 30.0}
    out = {(x.method, x.compression) for x in plan.left_out}
    assert ("global_magnitude", 1000.0) in out
    assert ("global_magnitude", 30.0) not in out
    (why,) = {x.why for x in plan.left_out if x.method == "soft_movement" and x.compression == 2}
    assert why.startswith("allocation 'threshold' sets each layer's sparsity itself")
    own = make_plan(sweep(methods={"soft_movement": {"compressions": "own"}}), tmp_path)
    assert {e.compression for e in own.experiments if e.label == "soft_movement"} == {None}
    assert not own.left_out


def test_nothing_left_is_one_sentence(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing of this sweep can be run: the model has no residual branch"):
        make_plan(sweep(methods=["depth"], controls=[]), tmp_path)


def test_what_was_found_out_is_remembered(tmp_path, monkeypatch):
    mine = sweep(methods=["lamp", "depth"])
    first = make_plan(mine, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("secateur.lab.plan.make_pruner", lambda *_: pytest.fail("it is tried again"))
        assert make_plan(mine, tmp_path) == first
    (file,) = (tmp_path / "sweeps").iterdir()
    for content in ("{", json.dumps({**json.loads(file.read_text()), "code": "other"}), '{"version": 99}'):
        file.write_text(content)
        assert make_plan(mine, tmp_path) == first  # and found out again


def test_a_score_takes_the_place_of_magnitude(tmp_path):
    plan = make_plan(sweep(methods={"obd_score": {"method": "taylor"}}), tmp_path)
    mine = [e for e in plan.experiments if e.label == "obd_score"]
    plain = [e for e in plan.experiments if e.label == "global_magnitude"]
    assert {e.recipe.score.name for e in mine} == {"taylor"}
    assert [dc.replace(e.recipe, score=p.recipe.score) for e, p in zip(mine, plain, strict=True)] == [p.recipe for p in plain]
    for e in mine:
        assert Experiment.from_dict(e.to_dict()) == e


def test_a_pretrained_network_has_no_first_training_to_go_back_to(tmp_path):
    network = Network.read({**SMALL, "pretrained": "somewhere.safetensors"})
    plan = make_plan(Sweep(networks=[network], methods=["late_rewinding", "lamp"], seeds=[0]), tmp_path)
    assert {x.method for x in plan.left_out} == {"late_rewinding"}
    assert all("goes back to step" in x.why for x in plan.left_out)
    assert network.dense.training == Training(epochs=4)


NET = """
import torch


class FileNet(torch.nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.hidden, self.head = torch.nn.Linear(64, width), torch.nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)).relu())
"""


def test_a_model_and_its_data_by_the_path_of_a_file(tmp_path, monkeypatch):
    """Beside the sweep's file; with another text they are other runs, the dense ones too."""
    (tmp_path / "file_net.py").write_text(NET)
    (tmp_path / "sweep.yaml").write_text("networks: [{model: 'file_net.py:FileNet', training: {epochs: 1}}]\nseeds: [0]")
    first = Sweep.load(tmp_path / "sweep.yaml")
    assert first.networks[0].dense.model == "file_net:FileNet"
    assert [Path(p).name for p in first.imports] == ["file_net.py"]
    assert Sweep.from_dict(first.to_dict()) == first
    plan = make_plan(first, tmp_path / "runs")
    assert {e.sources for e in plan.experiments} == {(("file_net", first.sources[0].hash),)}
    ids = {e.id for e in plan.experiments} | {e.dense().id for e in plan.experiments}
    (tmp_path / "file_net.py").write_text(NET + "# another\n")
    plan = make_plan(Sweep.load(tmp_path / "sweep.yaml"), tmp_path / "runs")
    assert not ids & ({e.id for e in plan.experiments} | {e.dense().id for e in plan.experiments})
    monkeypatch.delitem(sys.modules, "file_net")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("my-net.py", "", "'my-net' is no name for a module; rename the file, e.g. my_score.py"),
        ("json.py", "", "there is a module 'json' already"),
        ("broken_net.py", "1 / 0", "broken_net.py' cannot be imported: it raised ZeroDivisionError: division by zero"),
        ("broken_net.py", "import", "it raised SyntaxError: "),
        ("sys.py", "", "there is a module 'sys' already (a built-in module); rename the file"),
    ],
)
def test_a_file_that_cannot_be_imported(name, text, sentence, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(RecipeError) as e:
        sweep(imports=[str(tmp_path / name)])
    assert sentence in str(e.value)
