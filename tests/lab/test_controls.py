"""Controls keep the masks, or their counts, and nothing else."""

from __future__ import annotations

import dataclasses as dc
import json

import pytest
import torch
from lab_runs import TRAINING, TUNED, small, what_counts
from typer.testing import CliRunner

from secateur import Pruner, Recipe
from secateur.allocation import Uniform
from secateur.cli import app
from secateur.core.errors import RecipeError
from secateur.lab import Experiment, comparison, grid, load_model, run, run_all
from secateur.lab.controls import as_much_computation, at_random, correct_spread_, hold
from secateur.lab.experiment import CONTROLS
from secateur.recovery import Finetune, Reinitialize, Rewind
from secateur.schedule import Iterative, OneShot
from secateur.structure import Blocks, Filters
from secateur.training.models import build_model

CNN = {"task": "digits", "model": "digits_cnn", "model_arguments": {}, "training": dc.replace(TRAINING, epochs=1)}
BASES = {
    "weights": small(recipe=Recipe(schedule=OneShot(sparsity=0.9), recovery=Finetune(**TUNED))),
    "ticket": small(method="lottery_ticket", method_arguments={"rounds": 2, "layers": [["fc3*", 0.1]]}),
    "filters": small(**CNN, recipe=Recipe(structure=Filters(), schedule=OneShot(sparsity=0.4), recovery=Finetune(epochs=0.0))),
    "initial": small(recipe=Recipe(schedule=OneShot(sparsity=0.8), recovery=Rewind()), start="initial"),
}


def masks_of(experiment, root):
    return torch.load(root / experiment.id / "pruner.pt", weights_only=True)["pruner"]["masks"]


@pytest.fixture(scope="module", params=BASES)
def ran(request, tmp_path_factory):
    base, root = BASES[request.param], tmp_path_factory.mktemp("controls")
    outcomes = run_all([dc.replace(base, control=c) for c in CONTROLS], root, workers=1)
    assert [o.error for o in outcomes] == [None] * len(outcomes)
    assert base in [o.experiment for o in outcomes]  # it was added, and is there to compare with
    return base, root, {o.experiment.control: o.result for o in outcomes if o.experiment.control is not None}


def test_masks_are_inherited_or_as_many(ran):
    base, root, results = ran
    wanted = masks_of(base, root)
    for control in CONTROLS:
        experiment = dc.replace(base, control=control)
        found, model = masks_of(experiment, root), load_model(experiment, root)
        assert found.keys() >= wanted.keys()
        assert {n: int(m.sum()) for n, m in found.items()} == {n: int(m.sum()) for n, m in wanted.items()} | {
            n: m.numel() for n, m in found.items() if n not in wanted
        }
        same = all(torch.equal(found[n], m) for n, m in wanted.items())
        assert same == (control != "random_mask")
        assert not any(model.get_parameter(n)[~m].any() for n, m in found.items())
        assert any(model.get_parameter(n)[m].any() for n, m in found.items())
        assert results[control]["parameters"] == json.loads((root / base.id / "result.json").read_text())["parameters"]


def test_they_are_trained_as_the_dense_network_was(ran):
    base, root, results = ran
    saved = json.loads((root / base.id / "result.json").read_text())["speedup"]
    steps = base.training.steps(1257)
    for control, result in results.items():
        last = result["history"][-1]
        assert last["stage"] == control
        longer = dc.replace(base.training, epochs=base.training.epochs * min(2.0, saved)).steps(1257)
        assert last["step"] == (longer if control == "scratch_b" else steps)
        assert result["dense_test"] is None or result["dense_test"]["top1"] > 0


def test_new_weights_are_new_and_of_their_seed(tmp_path):
    found = {}
    for control in (None, "random_reinit", "random_mask", "scratch_e"):
        for seed in (0, 1):
            experiment = dc.replace(BASES["weights"], control=control, seed=seed, training=dc.replace(TRAINING, epochs=0.0))
            run(experiment, tmp_path)
            found[control, seed] = load_model(experiment, tmp_path).fc3.weight  # it has no mask
    torch.manual_seed(0)
    assert torch.equal(found["random_reinit", 0], found["random_mask", 0])
    assert torch.equal(found["random_reinit", 0], found["scratch_e", 0])  # dense layers have their own spread
    values = [found["random_reinit", 0], found["random_reinit", 1], found[None, 0]]
    assert not any(torch.equal(a, b) for i, a in enumerate(values) for b in values[i + 1 :])


def test_the_spread_is_that_of_the_smaller_network():
    """He's N(0, 2/n_in) with a tenth of the inputs is N(0, 20/n_in); filters count by the inputs that are left."""
    torch.manual_seed(0)
    dense = build_model("digits_cnn")
    for structure, sparsity in ((Recipe().structure, 0.9), (Filters(), 0.5)):
        model = build_model("digits_cnn")
        schedule, example = OneShot(sparsity=sparsity), torch.zeros(2, 1, 8, 8)
        recipe = Recipe(structure=structure, allocation=Uniform(), schedule=schedule)
        state = Pruner(model, recipe, example_inputs=example).prune().state_dict()
        fresh = build_model("digits_cnn")
        before = fresh.conv2.weight.detach().clone()
        pruner = hold(fresh, recipe, state, example)
        assert pruner.masks.keys() == state["masks"].keys()
        correct_spread_(pruner)
        mask = pruner.masks["conv2.weight"]
        rows = mask.flatten(1).any(1)
        share = float(mask[rows].float().mean())
        torch.testing.assert_close(fresh.conv2.weight[mask], before[mask] / share**0.5)
        if isinstance(structure, Filters):
            assert share == 0.5
        ratio = float(fresh.conv2.weight[mask].detach().std() / dense.conv2.weight.detach().std())
        assert ratio == pytest.approx(share**-0.5, rel=0.1)
    for seed in (1, 2):
        scaled, plain = build_model("digits_mlp"), build_model("digits_mlp")
        for model, kind in ((scaled, True), (plain, False)):
            with torch.no_grad():
                model.fc1.weight[:, 16:] = 0
            Reinitialize(seed=seed, scaled=kind).restore(model, None)
        torch.testing.assert_close(scaled.fc1.weight, plain.fc1.weight * 2)  # a quarter of the inputs


@pytest.mark.parametrize("structure", [Recipe().structure, Blocks(shape=(4, 4)), Filters()], ids=lambda s: s.name)
def test_random_places_keep_every_count_and_are_of_the_seed(structure):
    torch.manual_seed(0)
    model, example = build_model("digits_cnn"), torch.zeros(2, 1, 8, 8)
    recipe = Recipe(structure=structure, schedule=OneShot(sparsity=0.6))
    kept = Pruner(model, recipe, example_inputs=example if structure.couples else None).prune().state_dict()
    draws = [at_random(build_model("digits_cnn"), recipe, kept, s, example if structure.couples else None) for s in (1, 1, 2)]
    for drawn in draws:
        assert {n: int(m.sum()) for n, m in drawn["masks"].items()} == {n: int(m.sum()) for n, m in kept["masks"].items()}
    names = [n for n, m in kept["masks"].items() if 0 < int(m.sum()) < m.numel()]
    assert all(torch.equal(draws[0]["masks"][n], draws[1]["masks"][n]) for n in names)
    assert any(not torch.equal(draws[0]["masks"][n], draws[2]["masks"][n]) for n in names)
    assert any(not torch.equal(draws[0]["masks"][n], kept["masks"][n]) for n in names)


def test_equal_computation():
    assert as_much_computation(TRAINING, 1.25).epochs == 2.5
    assert as_much_computation(TRAINING, 2.0).epochs == as_much_computation(TRAINING, 50).epochs == 4.0
    with pytest.raises(RecipeError, match="needs the multiply-adds, and this model cannot be traced; use the control scratch_e"):
        as_much_computation(TRAINING, None)


def test_scratch_b_as_a_recipe_of_its_own(tmp_path):
    """30 % of two hidden layers: 1.4 × fewer multiply-adds, 1.4 × the steps."""
    experiment = small(method="liu_2019", method_arguments={"sparsity": 0.3, "budget": "computation"})
    result = run(experiment, tmp_path)
    expected = dc.replace(TRAINING, epochs=2 * 50_200 / (50_200 - 0.3 * 49_200)).steps(1257)
    assert expected == 14
    assert result["history"][-1]["step"] == expected
    fewer = run(dc.replace(experiment, start="initial"), tmp_path)
    assert fewer["history"][-1]["step"] == expected
    rounds = small(recipe=Recipe(schedule=Iterative(rounds=2, rate=0.3), recovery=Reinitialize(budget="computation")))
    steps = {row["stage"]: row["step"] for row in run(rounds, tmp_path)["history"]}
    assert steps == {"recovery, round 1": 14, "recovery, round 2": 20}  # each round with its own count, at most twice


def test_a_grid_with_controls_and_its_comparison(tmp_path):
    experiments = grid(
        Experiment(training=TRAINING), {"global_magnitude": TUNED}, (4,), (0,), controls=("scratch_e", "random_mask")
    )
    found = comparison(run_all(experiments, tmp_path, workers=1), tmp_path, title="controls")
    points = {p.method: p for p in found.points}
    assert points.keys() == {
        "dense", "global_magnitude", "global_magnitude, scratch_e", "global_magnitude, random_mask",
    }  # fmt: skip
    assert [p.control for p in points.values()] == [False, True, True, True]
    assert 3.9 < points["global_magnitude, scratch_e"].compression < 4.1


def test_the_command_line_runs_them_too(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text(BASES["weights"].to_yaml())
    done = CliRunner().invoke(app, ["run", str(file), "--out", str(tmp_path / "runs"), "--control", "scratch_e"])
    assert done.exit_code == 0, done.output
    assert "scratch_e: test top1" in done.output
    control = dc.replace(BASES["weights"], control="scratch_e")
    assert what_counts(tmp_path / "runs", control)[0]["experiment"]["control"] == "scratch_e"
    assert Experiment.load(tmp_path / "runs" / control.id / "experiment.yaml") == control
