"""Real processes: killed with SIGKILL, two at once, a full disk."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_runs import KINDS, what_counts

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(file: Path, root: Path, *more: str, **options):
    command = [sys.executable, "-m", "secateur.cli", "run", str(file), "--out", str(root), *more]
    return subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process) -> str:
    """What it said on standard error; it must end well."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return errors


@pytest.fixture
def file(tmp_path):
    def of(experiment):
        path = tmp_path / "experiment.yaml"
        path.write_text(experiment.to_yaml())
        return path

    return of


def wait_for(path: Path, process) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.002)


@pytest.mark.parametrize(
    "kind", ["han", pytest.param("rewind", marks=pytest.mark.slow), pytest.param("ramp", marks=pytest.mark.slow)]
)
def test_kill_9_at_random_moments(kind, file, finished, tmp_path):
    experiment, root, moments = KINDS[kind], tmp_path / "runs", random.Random(kind)
    path, last, died = file(experiment), root / experiment.id / "result.json", 0
    checkpoint = root / experiment.id / "checkpoint.pt"
    for _ in range(3):
        process = start(path, root, "--keep-every", "0")
        wait_for(checkpoint if died else root / experiment.dense().id / "checkpoint.pt", process)
        time.sleep(moments.uniform(0, 0.15))  # with a checkpoint a step, most of that time is spent writing one
        process.send_signal(signal.SIGKILL)
        process.communicate()
        died += process.returncode == -signal.SIGKILL
        if last.exists():
            break
    assert died >= 2
    finish(start(path, root))
    assert what_counts(root, experiment) == what_counts(finished(experiment), experiment)
    assert not list(root.rglob("*.part"))


def test_two_processes_on_one_run(file, finished, tmp_path):
    experiment, root = KINDS["one_shot"], tmp_path / "runs"
    path = file(experiment)
    both = [start(path, root) for _ in range(2)]
    for process in both:
        finish(process)
    assert what_counts(root, experiment) == what_counts(finished(experiment), experiment)
    files = {p: p.stat().st_mtime_ns for p in root.rglob("*.*") if p.name != ".lock"}
    process = start(path, root)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert files == {p: p.stat().st_mtime_ns for p in root.rglob("*.*") if p.name != ".lock"}
    assert experiment.id in printed


def test_a_full_disk_is_one_sentence_and_the_dense_result_stays(file, tmp_path):
    experiment, root = KINDS["one_shot"], tmp_path / "runs"
    dense = file(experiment.dense())
    finish(start(dense, root))
    result = root / experiment.dense().id / "result.json"
    before = result.read_bytes()

    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = start(file(experiment), root, "--keep-every", "0", preexec_fn=no_room)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    said = [line for line in errors.splitlines() if line.strip()]
    assert len(said) == 1
    assert "checkpoint.pt' cannot be written: File too large; what was there before is unchanged" in said[0]
    assert result.read_bytes() == before
    assert json.loads(before)["test"]["top1"] > 0.5
    assert sorted(p.name for p in (root / experiment.id).iterdir()) == [".lock", "experiment.yaml"]
    finish(start(file(experiment), root))  # with room again, it just goes on
