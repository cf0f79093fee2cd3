"""``secateur sweep``, as a user meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_called import called

from secateur.core import component as registry

SWEEP = """
title: small
networks:
  - {task: digits, model: digits_mlp, training: {epochs: 1}, finetune: {epochs: 1}}
methods: [lamp, depth]
compressions: [4]
seeds: [0]
controls: [dense, magnitude]
"""
ENV = {**{k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SWEEP)
    return path


def test_from_the_file_to_the_page_and_then_nothing_to_do(file, tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs"
    code, said, _ = called(monkeypatch, capsys, "sweep", file, "--out", out, "--dry-run")
    assert code == 0
    assert "small: 3 runs" in said
    assert "the model has no residual branch" in said
    assert not list(out.glob("*/result.json"))
    code, said, _ = called(monkeypatch, capsys, "sweep", file, "--out", out, "--workers", 1)
    assert code == 0
    assert "3/3 digits_mlp lamp 4×, seed 0: top1 " in said
    page = out / "report-small" / "report.html"
    assert f"report: {page}" in said
    assert "lamp" in page.read_text()
    code, said, _ = called(monkeypatch, capsys, "sweep", file, "--out", out, "--workers", 1)
    assert (code, said.count("top1")) == (0, 0)
    assert f"nothing to do: all 3 runs are finished; report: {page}" in said
    code, said, _ = called(monkeypatch, capsys, "sweep", file, "--out", out, "--method", "snip", "--workers", 1)
    assert code == 0
    assert "4/4 digits_mlp snip 4×, seed 0" in said


def test_asked_again_it_answers_without_torch_unless_a_file_has_changed(file, tmp_path, monkeypatch, capsys):
    out = tmp_path / "runs"
    words = ["sweep", file, "--out", out, "--workers", 1]
    assert called(monkeypatch, capsys, *words)[0] == 0
    code = "import sys; from secateur.cli import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    again = subprocess.run([sys.executable, "-c", code, *map(str, words)], env=ENV, capture_output=True, text=True, check=True)
    page = out / "report-small" / "report.html"
    assert again.stdout == f"nothing to do: all 3 runs are finished; report: {page} (1 left out: --dry-run says why)\nFalse\n"

    result = next(out.glob("*/result.json"))
    text = result.read_text()
    result.write_text("{")
    code, said, _ = called(monkeypatch, capsys, *words)
    assert (code, "is corrupt" in " ".join(said.split())) == (1, True)
    result.write_text(text)
    assert "nothing to do: all 3 runs are finished" in called(monkeypatch, capsys, *words)[1]
    page.unlink()
    assert f"report: {page}" in called(monkeypatch, capsys, *words)[1]
    assert page.exists()
    file.write_text(file.read_text().replace("[4]", "[4, 2]"))
    assert "5/5 digits_mlp" in called(monkeypatch, capsys, *words)[1]


def test_runs_that_fail_are_a_table_and_exit_code_1(file, tmp_path, monkeypatch, capsys):
    (tmp_path / "frail_nets.py").write_text(
        "import torch\n\n\nclass Frail(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = torch.nn.Linear(64, 10)\n"
        "        self.hidden = torch.nn.Linear(64, 64)\n\n"
        "    def forward(self, x):\n        return self.fc(self.hidden(x.flatten(1))) * float('inf')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file.write_text(SWEEP.replace("model: digits_mlp", "model: 'frail_nets:Frail'"))
    code, said, _ = called(monkeypatch, capsys, "sweep", file, "--out", tmp_path / "runs", "--workers", 1)
    assert code == 1
    assert "what failed" in said
    assert "training diverged" in " ".join(said.split())
    assert "3 of 3 runs failed; the same command tries them again" in said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("methods: [lamb]", "unknown method 'lamb'; did you mean 'lamp'"),
        ("{", "is not valid YAML"),
        ("- 3", "must be a mapping of names to values"),
        ("networks: [{task: nowhere}]", "unknown data set 'nowhere'"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_and_exit_code_2(content, sentence, file, tmp_path, monkeypatch, capsys):
    file.write_text(content)
    code, said, errors = called(monkeypatch, capsys, "sweep", file, "--out", tmp_path / "runs")
    assert (code, said) == (2, "")
    assert len(errors.strip().splitlines()) == 1
    assert sentence in errors


def test_a_score_that_breaks_its_contract_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_REGISTRY", {axis: dict(known) for axis, known in registry._REGISTRY.items()})
    (tmp_path / "odd_score.py").write_text(
        "from secateur.core.component import component\nfrom secateur.score import Score\n\n\n@component\n"
        "class OddScore(Score):\n    '''It counts how often it is asked.\n\n    Example:\n        >>> OddScore()\n    '''\n\n"
        "    def __call__(self, weight, statistics):\n        weight += 1\n        return weight.abs()\n"
    )
    monkeypatch.delitem(sys.modules, "odd_score", raising=False)
    code, said, _ = called(
        monkeypatch, capsys, "sweep", "--import", tmp_path / "odd_score.py", "--method", "odd_score", "--dry-run",
        "--out", tmp_path / "runs",
    )  # fmt: skip
    sys.modules.pop("odd_score", None)
    assert code == 0
    assert "contract OddScore() changes the weights it scores" in said
    assert "odd_score" in said


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_how_to_go_on_and_goes_on(how, file, tmp_path):
    out = tmp_path / "runs"
    file.write_text(SWEEP.replace("epochs: 1}, f", "epochs: 3}, f").replace("[0]", "[0, 1, 2]"))
    command = [sys.executable, "-m", "secateur.cli", "sweep", str(file), "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(out.glob("*/result.json")):
        time.sleep(0.05)
    process.send_signal(how)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "of 9 runs are finished in" in said
    assert "the same command goes on with them" in said
    assert "Traceback" not in errors
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*/result.json"))) == 9


@pytest.mark.slow
def test_two_sweeps_at_once_and_a_folder_without_room(file, tmp_path):
    """Both end well, nothing is done twice: each result is written by one of them."""
    out = tmp_path / "runs"
    file.write_text(SWEEP.replace("[0]", "[0, 1]").replace("[4]", "[2, 4]"))
    command = [sys.executable, "-m", "secateur.cli", "sweep", str(file), "--out", str(out), "--workers", "1"]
    both = [subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [p.communicate(timeout=200) for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert len(list(out.glob("*/result.json"))) == 2 + 2 * 2 * 2
    times = {p: p.stat().st_mtime_ns for p in Path(out).glob("*/result.json")}
    again = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=200, check=False)
    assert "nothing to do" in again.stdout
    assert times == {p: p.stat().st_mtime_ns for p in times}
