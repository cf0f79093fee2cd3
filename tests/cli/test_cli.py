from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys

import pytest
import torch
from cli_called import called
from rich.console import Console
from typer.testing import CliRunner

from secateur import save
from secateur.cli import app
from secateur.core.errors import DataError
from secateur.lab import Experiment
from secateur.methods import METHODS
from secateur.training import Training
from secateur.training.models import build_model

QUICK = Experiment(
    training=Training(epochs=2, batch_size=256), method="global_magnitude", method_arguments={"epochs": 1}, compression=4
)
ENV = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR", "SECATEUR_DATA")}


def shell(*arguments, cwd=None, **env):
    """A real process, its output piped."""
    command = [sys.executable, "-m", "secateur.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**ENV, "OMP_NUM_THREADS": "1", **env}, timeout=300, check=False
    )


def table_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with one dense and one pruned run, made by the command line."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "experiment.yaml").write_text(QUICK.to_yaml())
    done = CliRunner().invoke(app, ["run", str(folder / "experiment.yaml"), "--out", str(folder)])
    assert done.exit_code == 0, done.output
    (folder / "printed.txt").write_text(done.output)
    return folder


def test_run_prints_what_it_measured(runs):
    printed = (runs / "printed.txt").read_text()
    result = json.loads((runs / QUICK.id / "result.json").read_text())
    for text in (f"run {QUICK.id}", "test top1", "dense test top1", f"{result['nonzero']:,}", f"{result['compression']:.2f}×",
                 f"{result['file_bytes']:,} bytes", "theoretical speed-up", "threads", f"everything is in {runs}"):  # fmt: skip
        assert text in printed.replace("\n", "")
    assert 3.9 < result["compression"] < 4.1


def test_report(runs, monkeypatch, capsys):
    code, printed, _ = called(monkeypatch, capsys, "report", runs, "--title", "Two runs")
    assert code == 0
    assert "Two runs" in printed
    assert "global magnitude" in printed
    page = (runs / "report" / "report.html").read_text()
    assert "Two runs" in page
    assert list((runs / "report" / "figures").glob("*.png"))
    assert {r["method"] for r in table_of(runs / "report" / "points.csv")} == {"dense", "global_magnitude"}


@pytest.mark.parametrize("width", [80, 100])
def test_the_closing_table_is_whole_at_any_width(runs, width):
    from secateur.cli.report import read_outcomes
    from secateur.evaluate.report import rich_table
    from secateur.lab import comparison

    read = read_outcomes([runs])
    found = comparison(read.outcomes, read.roots, title="A report")
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(rich_table(found, width=width))
        text = console.export_text()
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    for column in ("method", "top-1", "compr.", "speed-up", "bytes", "latency"):
        assert column in text
    assert sum("digits_mlp" in line for line in text.splitlines()) == 1  # no row is wrapped onto a second line
    row = next(line for line in text.splitlines() if "global magnitude" in line)
    assert "kB" in row
    assert "ms" in row


def test_a_report_of_nothing_or_of_something_broken(runs, tmp_path, monkeypatch, capsys):
    code, _, error = called(monkeypatch, capsys, "report", tmp_path)
    assert code == 2
    assert "no finished run is under" in error
    (tmp_path / "aaaaaaaaaaaa").mkdir()
    (tmp_path / "aaaaaaaaaaaa" / "result.json").write_text("{")
    code, _, error = called(monkeypatch, capsys, "report", tmp_path)
    assert code == 2
    assert "is corrupt" in error


def test_methods(monkeypatch, capsys):
    code, printed, _ = called(monkeypatch, capsys, "methods")
    assert code == 0
    lines = printed.splitlines()
    paper, words = (next(x.index(text) for x in lines if text in x) for text in ("arXiv:1506.02626", "weights · "))
    column = "".join(x[paper:words].strip() for x in lines)  # a long address goes on in the next line of its cell
    for m in METHODS.values():
        assert m.name in printed
        assert m.source in column
    assert "random (control)" in printed
    assert "…" not in printed


def test_inspect(tmp_path, monkeypatch, capsys):
    model = build_model("digits_mlp")
    with torch.no_grad():
        model.fc1.weight[10:] = 0
    save(model, tmp_path / "a.safetensors", metadata={"note": "mine"})
    code, printed, _ = called(monkeypatch, capsys, "inspect", tmp_path / "a.safetensors")
    assert code == 0
    row = next(line for line in printed.splitlines() if "fc1.weight" in line)
    assert re.findall(r"300×64|float32|bitmask|19,200|640|3\.33%", row) == [
        "300×64",
        "float32",
        "bitmask",
        "19,200",
        "640",
        "3.33%",
    ]
    assert "note: mine" in printed
    content = (tmp_path / "a.safetensors").read_bytes()
    for bad in (b"", b"nonsense", content[:-5], content[:200]):
        (tmp_path / "b.safetensors").write_bytes(bad)
        code, _, error = called(monkeypatch, capsys, "inspect", tmp_path / "b.safetensors")
        assert code == 2
        assert error.count("\n") == 1
        assert "b.safetensors" in error
    code, _, error = called(monkeypatch, capsys, "inspect", tmp_path / "none.safetensors")
    assert (code, "there is no file" in error) == (2, True)


def test_measure(monkeypatch, capsys):
    code, printed, _ = called(monkeypatch, capsys, "measure", "resnet_20", "--input", "1,3,32,32")
    assert code == 0
    assert "40,551,040" in printed
    code, printed, _ = called(monkeypatch, capsys, "measure", "gpt", "--input", "1,8", "--tokens", "--argument", "n_layer=1")
    assert code == 0
    code, printed, _ = called(monkeypatch, capsys, "measure", "torch.nn:Linear", "--input", "1,4", "--argument", "in_features=4",
                              "--argument", "out_features=3")  # fmt: skip
    assert (code, "15 parameters" in printed) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resnet_19", "--input", "1"], "unknown model 'resnet_19'; did you mean"),
        (["resnet_20", "--input", "a,b"], "--input must be sizes separated by commas, e.g. 1,3,32,32; got 'a,b'"),
        (["resnet_20", "--input", "1,3"], "model 'resnet_20' cannot be run on an input of shape 1,3"),
        (["gpt", "--input", "1,8"], "see --input and --tokens"),
        (["resnet_20", "--input", "1", "--argument", "width"], "--argument must be name=value; got 'width'"),
        (["resnet_20", "--input", "1,3,32,32", "--argument", "size=1"], "model 'resnet_20' has no parameter 'size'"),
        (["mine:Net", "--input", "1"], "model 'mine:Net' cannot be imported"),
    ],
)
def test_measure_refuses_in_one_sentence(arguments, sentence, monkeypatch, capsys):
    code, _, error = called(monkeypatch, capsys, "measure", *arguments)
    assert code == 2
    assert sentence in error
    assert error.count("\n") == 1
    assert error.startswith("secateur: ")


BAD_FILES = {
    "- a\n": "must be a mapping",
    "": "must be a mapping",
    "a: [": "is not valid YAML",
    "taks: digits\n": "has no part 'taks'",
    "method: magic\n": "unknown method 'magic'",
    "training: [1]\n": "training must be a mapping",
    "version: 7\n": "upgrade secateur",
    "training: {speed: 1}\n": "training has no parameter 'speed'",
    "task_options: [1]\n": "task_options must be a mapping",
    "task: digit\n": "unknown data set 'digit'; did you mean 'digits'?",
    "model: lenet\n": "unknown model 'lenet'",
    "task_options: {size: 3}\n": "data set 'digits' has no parameter 'size'",
    "model_arguments: {name: 3}\n": "model 'digits_mlp' has no parameter 'name'",
    "task: nowhere:load\n": "cannot be imported",
    "pretrained: no.safetensors\n": "checkpoint 'no.safetensors' does not exist",
    "training: {mixed_precision: fp16}\n": "needs a GPU",
    "{method: zhu_gupta_2018, training: {epochs: 1}}\n": "ends at step 1000",
    "{method: random, compression: 5000, training: {epochs: 0}}\n": "cannot be reached",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_bad_experiment_is_one_red_sentence(text, tmp_path, monkeypatch, capsys):
    if "fp16" in text and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (tmp_path / "e.yaml").write_text(text)
    code, _, error = called(monkeypatch, capsys, "run", tmp_path / "e.yaml", "--out", tmp_path / "runs")
    assert code == 2
    assert BAD_FILES[text] in error
    assert error.count("\n") == 1


def test_places_that_cannot_be_written(runs, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "e.yaml").write_text(QUICK.to_yaml())
    code, _, error = called(monkeypatch, capsys, "run", tmp_path / "e.yaml", "--out", tmp_path / "file")
    assert (code, "cannot be made" in error) == (2, True)
    code, _, error = called(monkeypatch, capsys, "report", runs, "--out", tmp_path / "file" / "report")
    assert (code, "cannot be written" in error) == (2, True)


def test_a_missing_data_set_says_what_where_and_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("SECATEUR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "e.yaml").write_text("task: mnist\nmodel: lenet_5\n")
    for arguments in (["run", tmp_path / "e.yaml", "--out", tmp_path / "runs"], ["demo", "--task", "mnist", "--out", tmp_path]):
        code, _, error = called(monkeypatch, capsys, *arguments, "--data", tmp_path)
        assert code == 2
        for part in (
            "data set 'mnist' was not found",
            "train-images-idx3-ubyte",
            str(tmp_path),
            "secateur data fetch mnist",
            "--data",
        ):
            assert part in error
        assert error.count("\n") == 1


def test_fetching_without_a_network_is_one_sentence(tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    done = shell("data", "fetch", "mnist", "--folder", tmp_path / "data", **nowhere, no_proxy="", NO_PROXY="")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert "data set 'mnist' could not be fetched from https://" in lines[0]


def test_fetch(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("secateur.cli.data.fetch_data", lambda name, folder: folder)
    assert called(monkeypatch, capsys, "data", "fetch", "mnist", "--folder", tmp_path)[0] == 0
    monkeypatch.undo()
    code, _, error = called(monkeypatch, capsys, "data", "fetch", "digits")
    assert (code, "is embedded; there is nothing to fetch" in error) == (2, True)


def test_a_fetched_set_goes_where_load_data_looks(monkeypatch, capsys, tmp_path):
    seen = []
    monkeypatch.setattr("secateur.cli.data.fetch_data", lambda name, folder=None: seen.append(folder) or tmp_path)
    assert called(monkeypatch, capsys, "data", "fetch", "mnist")[0] == 0
    from secateur.training.data import cache_folder

    assert seen[0] in (None, cache_folder(), cache_folder() / "mnist")


def test_version_and_help():
    invoke = CliRunner().invoke
    version = invoke(app, ["--version"])
    assert version.exit_code == 0
    assert re.fullmatch(r"secateur \d+\.\d+\.\d+\S*\n", version.output)
    helps = {c: invoke(app, [*c.split(), "--help"], env={"COLUMNS": "120"}) for c in
             ("demo", "run", "report", "methods", "inspect", "compress", "expand", "measure", "data", "data fetch")}  # fmt: skip
    assert {h.exit_code for h in helps.values()} == {0}
    for text in (
        "experiment.yaml",
        "--out",
        "folder of all runs",
        "--data",
        "--keep-every",
        "seconds between checkpoints",
        "continues",
    ):
        assert text in helps["run"].output
    assert all(len(h.output.strip().splitlines()) >= 3 for h in helps.values())
    top = invoke(app, ["--help"]).output
    assert all(c in top for c in ("demo", "run", "report", "methods", "inspect", "compress", "expand", "measure", "data"))


def test_unknown_options_are_typers_own_error():
    assert CliRunner().invoke(app, ["run", "--speed"]).exit_code == 2
    assert CliRunner().invoke(app, ["prune"]).exit_code == 2


def test_ones_own_model_in_the_current_folder(tmp_path):
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n\ndef net(width=8):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))\n"
    )
    (tmp_path / "e.yaml").write_text(
        "model: my_net:net\nmodel_arguments: {width: 12}\ntraining: {epochs: 1, batch_size: 256}\n"
        "method: random\nmethod_arguments: {epochs: 0}\ncompression: 2\n"
    )
    done = shell("run", "e.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "everything is in runs/" in done.stdout
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 2


def test_piped_output_is_wide_and_plain():
    done = shell("methods")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 80
    assert "…" not in done.stdout


def test_an_error_of_ours_is_red_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")

    def fail(*_, **__):
        raise DataError("a sentence with [brackets] in it")

    monkeypatch.setattr("secateur.cli.data.fetch_data", fail)
    code, _, error = called(monkeypatch, capsys, "data", "fetch", "mnist")
    assert code == 2
    assert "\x1b[1;31msecateur:" in error
    assert "a sentence with [brackets] in it" in error


@pytest.mark.slow
def test_demo(tmp_path):
    done = shell("demo", "--seeds", "1", "--out", tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal outputs") == 2
    assert "…" not in done.stdout
    report = tmp_path / "demo"
    assert (report / "report.html").stat().st_size > 50_000
    assert len(list((report / "figures").glob("*.png"))) >= 4
    assert sorted(p.name for p in report.glob("*.safetensors")) == ["digits_cnn.safetensors", "digits_mlp.safetensors"]
    rows = table_of(report / "points.csv")
    assert len(rows) == 2 * (5 * 5 + 1)
    assert {r["error"] for r in rows} == {""}
    again = shell("demo", "--seeds", "1", "--out", tmp_path)  # nothing is trained twice
    assert again.returncode == 0
    assert "equal outputs" in again.stdout
