from __future__ import annotations

import pytest
import torch
from lab_runs import TRAINING, what_counts

from secateur.lab import Experiment, grid, run, run_all

GOOD = Experiment(model="user_models:Plain", training=TRAINING)


def bad(name, **parts):
    return Experiment(model=f"user_models:{name}", training=TRAINING, **parts)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Raises", "ValueError: this model always fails"),
        ("Exits", "SystemExit: 3"),
        ("Shapeless", "the model must answer a batch of 'digits' with a tensor of logits of shape [256, 10]; got [2560]"),
        ("Diverges", "the loss is nan at step 0: training diverged; lower the learning rate or set clip"),
        ("Missing", "model 'user_models:Missing' cannot be imported: user_models has no 'Missing'"),
    ],
)
def test_a_model_that_fails_costs_only_itself(name, sentence, tmp_path):
    told = []
    outcomes = run_all([bad(name), GOOD], tmp_path, workers=1, told=told.append)
    assert [(o.experiment.model, o.error) for o in outcomes] == [(f"user_models:{name}", sentence), ("user_models:Plain", None)]
    assert outcomes[0].result is None
    assert outcomes[1].result["parameters"] == 64 * 8 + 8 + 80 + 10
    assert len(told) == 2


def test_the_dense_network_is_tried_once_for_all_that_need_it(tmp_path):
    pruned = [bad("Raises", method="random", compression=c) for c in (2, 4)]
    outcomes = run_all(pruned, tmp_path, workers=1)
    assert [o.error for o in outcomes] == [
        "its dense network failed: ValueError: this model always fails",
        "its dense network failed: ValueError: this model always fails",
        "ValueError: this model always fails",
    ]
    assert [p.name for p in tmp_path.iterdir()] == [pruned[0].dense().id]


DIED = "its process died (killed, or out of memory)"


def test_a_process_that_is_killed_costs_only_its_run(tmp_path):
    outcomes = run_all([bad("Killed"), GOOD], tmp_path / "2", workers=2)
    assert [o.error for o in outcomes] == [DIED, None]
    run_all([GOOD], tmp_path / "1", workers=1)
    assert what_counts(tmp_path / "1", GOOD) == what_counts(tmp_path / "2", GOOD)  # and workers do what this process does


@pytest.mark.slow
def test_processes_that_die_in_several_ways(tmp_path):
    outcomes = run_all([bad("Killed"), GOOD, bad("Dies"), bad("Raises"), bad("Exits")], tmp_path, workers=2)
    said = ["ValueError: this model always fails", "SystemExit: 3"]
    assert [o.error for o in outcomes] == [DIED, None, DIED, *said]


@pytest.mark.slow
def test_two_workers_give_what_one_gives(tmp_path):
    tuned = {"epochs": 1.0}
    experiments = grid(GOOD, {"global_magnitude": tuned, "global_gradient": tuned}, (4,), (0,))
    for workers in (1, 2):
        outcomes = run_all(experiments, tmp_path / str(workers), workers=workers)
        assert [o.error for o in outcomes] == [None] * 3
        assert [o.experiment for o in outcomes[:2]] == experiments
        assert [o.experiment.recipe for o in outcomes[2:]] == [None]
    everything = [*experiments, *{e.dense() for e in experiments}]
    assert [what_counts(tmp_path / "1", e) for e in everything] == [what_counts(tmp_path / "2", e) for e in everything]


def test_one_worker_uses_one_thread_and_gives_the_others_back(tmp_path, monkeypatch):
    seen = []
    real = torch.get_num_threads()
    monkeypatch.setattr("secateur.lab.one.run", lambda e, root, **_: seen.append(torch.get_num_threads()) or {})
    torch.set_num_threads(2)
    try:
        run_all([GOOD], tmp_path, workers=1)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(real)


def test_equal_runs_keep_their_labels(tmp_path):
    recipe = Experiment(method="random").recipe
    one, two = (Experiment(model=GOOD.model, training=TRAINING, recipe=recipe, method=m) for m in ("a", "b"))
    assert one.id == two.id
    outcomes = run_all([one, two], tmp_path, workers=1)
    assert [o.experiment.method for o in outcomes] == ["a", "b", None]
    assert outcomes[0].result == outcomes[1].result


def test_somebodys_own_model_and_data(tmp_path):
    training = TRAINING.__class__(epochs=20, batch_size=20, learning_rate=0.02)
    own = Experiment(task="user_models:points", task_options={"n": 200}, model="user_models:Plain", model_arguments={"width": 16},
                     training=training, method="global_magnitude", method_arguments={"epochs": 5}, compression=4)  # fmt: skip
    result = run(own, tmp_path)
    assert result["test"]["top1"] > 0.8
    assert "top5" not in result["test"]
    assert 3.9 < result["compression"] < 4.1
    assert (tmp_path / own.id / "model.safetensors").exists()
