"""Trackers are told of each finished run, once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lab_runs import KINDS

from secateur.core.errors import DependencyError, RecipeError
from secateur.lab import Outcome
from secateur.lab.store import RunFolder
from secateur.lab.track import TRACKERS, make_tracker

STUBS = {
    "wandb": """
CALLS = []


class Run:
    summary = {}

    def __init__(self, **given):
        CALLS.append(("init", given))
        self.summary = self

    def log(self, row, step):
        CALLS.append(("log", step, row))

    def update(self, figures):
        CALLS.append(("summary", figures))

    def finish(self):
        CALLS.append(("finish",))


init = Run
""",
    "mlflow": """
import contextlib

CALLS = []


def set_experiment(name):
    CALLS.append(("experiment", name))


@contextlib.contextmanager
def start_run(**given):
    CALLS.append(("init", given))
    yield
    CALLS.append(("finish",))


def log_params(said):
    CALLS.append(("params", said))


def log_text(text, name):
    CALLS.append(("text", name))


def log_metrics(row, step=None):
    CALLS.append(("summary", row) if step is None else ("log", step, row))
""",
}


@pytest.fixture
def outcome(finished):
    e = KINDS["han"]
    return Outcome(e, RunFolder(finished(e), e.id).read_result())


@pytest.fixture
def root(outcome, tmp_path):
    (tmp_path / outcome.experiment.id).mkdir()
    return tmp_path


@pytest.mark.parametrize("name", STUBS)
def test_what_a_tracker_is_told(name, outcome, root, tmp_path, monkeypatch):
    (tmp_path / f"{name}.py").write_text(STUBS[name])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    for _ in range(2):
        make_tracker(name, root, "pruning").track(outcome)  # the second time it is known
    calls = sys.modules[name].CALLS
    monkeypatch.delitem(sys.modules, name)
    history = outcome.result["history"]
    logged = [c for c in calls if c[0] == "log"]
    assert len(logged) == len(history) == 1 * 3
    assert [c[1] for c in logged] == [5, 10, 15]  # three rounds of one pass of five steps, one after the other
    assert [c[2]["validation_top1"] for c in logged] == [r["validation_top1"] for r in history]
    (summary,) = (c[1] for c in calls if c[0] == "summary")
    assert summary["test_top1"] == outcome.result["test"]["top1"]
    assert summary["compression"] == outcome.result["compression"]
    (begun,) = (c[1] for c in calls if c[0] == "init")
    assert outcome.experiment.id in str(begun)
    assert "han_2015 seed 0" in str(begun)
    assert [c[0] for c in calls if c[0] == "finish"] == ["finish"]
    assert "pruning" in str(calls)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_files_are_read_back(outcome, root):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_tracker("tensorboard", root).track(outcome)
    (root / outcome.experiment.id / ".tracked-tensorboard").unlink()
    make_tracker("tensorboard", root).track(outcome)  # told again it is there once
    folder = root / "tensorboard" / outcome.experiment.id
    assert len(list(folder.iterdir())) == 1
    found = reader.EventAccumulator(str(folder)).Reload()
    steps = [(s.step, s.value) for s in found.Scalars("validation_top1")]
    wanted = [r["validation_top1"] for r in outcome.result["history"]]
    assert steps == [(5 * (i + 1), pytest.approx(v)) for i, v in enumerate(wanted)]
    assert found.Scalars("final/test_top1")[0].value == pytest.approx(outcome.result["test"]["top1"])


def test_a_failed_run_is_not_told(outcome, root, monkeypatch):
    told = []
    monkeypatch.setitem(TRACKERS, "mine", lambda *_: type("Mine", (), {"track": lambda _, o: told.append(o)})())
    tracker = make_tracker("mine", root)
    tracker.track(Outcome(outcome.experiment, error="no luck"))
    assert not told
    tracker.track(outcome)
    assert told == [outcome]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_one_sentence(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    extra = {"tensorboard": "train"}.get(name, name)
    with pytest.raises(DependencyError, match=rf"{name} is not installed; it comes with: pip install 'secateur\[{extra}\]'"):
        make_tracker(name, Path(tmp_path))


def test_an_unknown_tracker(tmp_path):
    with pytest.raises(RecipeError, match=r"unknown tracker 'wandbe'; did you mean 'wandb'"):
        make_tracker("wandbe", tmp_path)
