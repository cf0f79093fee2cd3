"""Interrupted at any step, a run ends with the bits of one that was not."""

from __future__ import annotations

import dataclasses as dc
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lab_runs import KINDS, what_counts

from secateur.core.errors import RunError
from secateur.lab import run
from secateur.lab.store import RunFolder
from secateur.recovery import Rewind


class Killed(BaseException):
    """Neither an Exception nor an error of ours: nothing may catch it."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_until_killed(experiment, root, after, *, keep_every=0.0):
    """Run until ``after`` more steps were told, then die; False when the run ended first."""
    left = after

    def say(stage, step, steps):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    try:
        run(experiment, root, keep_every=keep_every, say=say)
    except Killed:
        return False
    return True


# each way through a run once a day; the others differ in what is trained, not in how it goes on
DAILY = ("dense", "one_shot", "han", "ramp", "rewind", "exchange", "scratch_b", "early_stop", "pipeline")


@pytest.mark.parametrize("kind", [k if k in DAILY else pytest.param(k, marks=pytest.mark.slow) for k in KINDS])
def test_interrupted_again_and_again(kind, finished, tmp_path):
    experiment = KINDS[kind]
    lengths, deaths = random.Random(kind), 0
    while not run_until_killed(experiment, tmp_path, lengths.randint(1, 7)):
        deaths += 1
    assert deaths >= 2  # it did die, and got on in between
    assert what_counts(tmp_path, experiment) == what_counts(finished(experiment), experiment)


@pytest.mark.parametrize("after", [3, 4, 10, 11, 14, 17, 18, 23])
def test_interrupted_at_any_step_of_rounds_with_rewinding(after, finished, tmp_path):
    experiment = KINDS["rewind"]
    root = finished(experiment)
    shutil.copytree(root / experiment.dense().id, tmp_path / experiment.dense().id)
    run_until_killed(experiment, tmp_path, after)
    assert run_until_killed(experiment, tmp_path, 1000)
    assert what_counts(tmp_path, experiment) == what_counts(root, experiment)


def test_checkpoints_far_apart_repeat_work_but_change_nothing(finished, tmp_path):
    experiment = KINDS["one_shot"]
    assert not run_until_killed(experiment, tmp_path, 7, keep_every=1e9)  # nothing was ever kept
    assert not (tmp_path / experiment.dense().id / "checkpoint.pt").exists()
    run(experiment, tmp_path)
    assert what_counts(tmp_path, experiment) == what_counts(finished(experiment), experiment)


def test_early_stopping_did_stop_early(finished):
    experiment = KINDS["patience"]
    result, _ = what_counts(finished(experiment), experiment)
    assert len(result["history"]) < experiment.training.epochs
    losses = [row["validation_loss"] for row in result["history"]]
    assert losses[-1] >= min(losses[:-1])


def test_dead_while_the_result_is_written(finished, tmp_path, monkeypatch):
    experiment = KINDS["dense"]

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_json", die)
        with pytest.raises(Killed):
            run(experiment, tmp_path, keep_every=0)
    assert (tmp_path / experiment.id / "model.safetensors").exists()
    assert not (tmp_path / experiment.id / "result.json").exists()
    run(experiment, tmp_path)
    assert what_counts(tmp_path, experiment) == what_counts(finished(experiment), experiment)


def test_dead_right_after_the_result_leaves_no_checkpoint_behind(tmp_path, monkeypatch):
    experiment = KINDS["dense"]

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "drop_checkpoint", die)
        with pytest.raises(Killed):
            run(experiment, tmp_path, keep_every=0)
    before = run(experiment, tmp_path)
    assert before["seconds"] == run(experiment, tmp_path)["seconds"]  # read, not repeated


def test_a_rewound_network_starts_as_the_dense_one(finished):
    """The first training that a rewinding recovery watches is the dense network's own, step for step."""
    experiment = KINDS["rewind"]
    root = finished(experiment)
    dense, _ = what_counts(root, experiment.dense())
    pruned, _ = what_counts(root, experiment)
    first = [{k: v for k, v in row.items() if k != "stage"} for row in pruned["history"] if row["stage"] == "training"]
    assert first == [{k: v for k, v in row.items() if k != "stage"} for row in dense["history"]]
    later = [row["step"] for row in pruned["history"] if row["stage"] == "recovery, round 2"]
    assert later == [5, 10]  # goes on at step 3 of 10


def test_initial_networks_are_not_trained_first(tmp_path):
    experiment = dc.replace(KINDS["initial"], recipe=dc.replace(KINDS["initial"].recipe, recovery=Rewind(to=0)))
    result = run(experiment, tmp_path)
    assert [row["stage"] for row in result["history"]] == ["recovery, round 1"] * 2
    assert [p.name for p in tmp_path.iterdir()] == [experiment.id]
    assert result["dense_test"] is None


class TestBadCheckpoints:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        assert not run_until_killed(KINDS["dense"], tmp_path, 6)
        return tmp_path / KINDS["dense"].id

    def ends_right(self, folder, finished):
        steps = []
        run(KINDS["dense"], folder.parent, say=lambda stage, step, steps_: steps.append(step))
        assert what_counts(folder.parent, KINDS["dense"]) == what_counts(finished(KINDS["dense"]), KINDS["dense"])
        return steps

    def test_a_good_one_is_used(self, folder, finished):
        assert self.ends_right(folder, finished)[0] == 7

    @pytest.mark.parametrize("left", [0, 1, 100, 0.5, 0.99])
    def test_truncated(self, folder, finished, left):
        file = folder / "checkpoint.pt"
        content = file.read_bytes()
        file.write_bytes(content[: left if isinstance(left, int) else int(left * len(content))])
        assert self.ends_right(folder, finished)[0] == 1

    @pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
    def test_a_flipped_bit_never_gives_a_wrong_result(self, folder, finished, place):
        file = folder / "checkpoint.pt"
        content = bytearray(file.read_bytes())
        content[int(place * len(content))] ^= 16
        file.write_bytes(bytes(content))
        assert self.ends_right(folder, finished)[0] == 1

    def test_of_another_run(self, folder, finished, tmp_path_factory):
        other = KINDS["dense"].__class__(seed=5, training=KINDS["dense"].training)
        elsewhere = tmp_path_factory.mktemp("other")
        run_until_killed(other, elsewhere, 4)
        shutil.copy(elsewhere / other.id / "checkpoint.pt", folder / "checkpoint.pt")
        assert self.ends_right(folder, finished)[0] == 1

    def test_a_hostile_pickle_does_not_run(self, folder, finished, tmp_path):
        class Evil:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "ran",))

        torch.save({"version": 1, "id": folder.name, "model": Evil()}, folder / "checkpoint.pt")
        assert self.ends_right(folder, finished)[0] == 1
        assert not (tmp_path / "ran").exists()

    def test_of_a_model_whose_code_has_changed(self, folder):
        state = torch.load(folder / "checkpoint.pt", weights_only=True)
        state["model"]["fc1.weight"] = torch.zeros(2, 2)
        torch.save(state, folder / "checkpoint.pt")
        with pytest.raises(RunError, match=r"checkpoint.pt' does not fit this experiment's model .* delete it to start"):
            run(KINDS["dense"], folder.parent)

    def test_what_a_killed_writer_left_is_swept_up(self, folder, finished):
        (folder / ".checkpoint.pt.abc.part").write_bytes(b"half")
        self.ends_right(folder, finished)
        assert sorted(p.name for p in folder.iterdir()) == [".lock", "experiment.yaml", "model.safetensors", "result.json"]
