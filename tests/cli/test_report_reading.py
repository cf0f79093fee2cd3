"""``secateur report``: several folders, what cannot be read, and numbers that are those of the results."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secateur.cli import app
from secateur.lab import Experiment, run_all
from secateur.training import Training

TUNED = {"epochs": 1.0}
START = Experiment(training=Training(epochs=2, batch_size=256))
PRUNED = [
    Experiment(training=START.training, method=m, method_arguments=TUNED, compression=c, seed=s)
    for m in ("global_magnitude", "random")
    for c in (2.0, 8.0)
    for s in (0, 1)
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    assert not [o.error for o in run_all(PRUNED, root, workers=1) if o.error]
    return root


def called(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["report", *map(str, words)], env={"COLUMNS": "200"})
    return done.exit_code, done.output if done.exception is None or done.exit_code == 0 else f"{done.output}{done.exception}"


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "points.csv").open(encoding="utf-8", newline="") as f:
        return {r["id"]: r for r in csv.DictReader(f)}


def test_the_numbers_are_those_of_the_results(runs: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert called(runs, "--out", tmp_path)[0] == 0
    table, columns = rows(tmp_path), parquet.read_table(tmp_path / "points.parquet").to_pydict()
    assert len(table) == len(columns["id"]) == 10
    for id, row in table.items():
        r = json.loads((runs / id / "result.json").read_text())
        said = {
            "compression": r["compression"], "speedup": r["speedup"], "top1": r["test"]["top1"], "top5": r["test"]["top5"],
            "loss": r["test"]["loss"], "file_bytes": r["file_bytes"], "latency_ms": r["latency_ms"], "seconds": r["seconds"],
            "inference_joules": r["energy"]["inference"], "training_joules": r["energy"]["training"],
            "peak_bytes": r["cost"]["memory"]["peak_bytes"], "steps": r["cost"]["steps"],
        }  # fmt: skip
        at = columns["id"].index(id)
        for name, value in said.items():
            assert float(row[name]) == value == columns[name][at]
        assert [list(x.values()) for x in columns["layers"][at]] == r["layers"]
    with (tmp_path / "differences.csv").open(newline="") as f:
        found = list(csv.DictReader(f))
    assert [(d["target"], d["a"], d["b"], d["n"]) for d in found] == [
        ("2.0", "global_magnitude", "random", "2"), ("8.0", "global_magnitude", "random", "2"),
    ]  # fmt: skip
    for d in found:
        mine = [r for r in table.values() if r["target_compression"] == d["target"]]
        by_seed = {(r["method"], r["seed"]): float(r["top1"]) for r in mine}
        mean = sum(by_seed["global_magnitude", s] - by_seed["random", s] for s in "01") / 2
        assert float(d["mean"]) == pytest.approx(mean)
        assert d["verdict"] == "too few seeds"


def test_what_cannot_be_read_is_left_out_and_said(runs: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(runs, root)
    ids = [e.id for e in PRUNED]
    (root / ids[0] / "result.json").write_text('{"version": 1, "id"')
    newer = json.loads((root / ids[1] / "result.json").read_text())
    (root / ids[1] / "result.json").write_text(json.dumps({**newer, "version": 99}))
    plugged = json.loads((root / ids[2] / "result.json").read_text())
    plugged["experiment"]["recipe"]["score"] = {"name": "of_a_plug_in"}
    (root / ids[2] / "result.json").write_text(json.dumps(plugged))
    (root / ids[3] / "result.json").unlink()
    (root / "notes").mkdir()
    code, said = called(root)
    assert code == 0
    left = [line for line in said.splitlines() if line.startswith("left out")]
    assert len(left) == 3
    assert any(ids[0] in line and "is corrupt" in line for line in left)
    assert any(ids[1] in line and "version 99; this release reads 1: upgrade secateur" in line for line in left)
    assert any(ids[2] in line and "of_a_plug_in" in line for line in left)
    assert set(rows(root / "report")) == {p.parent.name for p in runs.glob("*/result.json")} - set(ids[:4])
    page = (root / "report" / "report.html").read_text(encoding="utf-8")
    assert "3 left out" in page
    assert "version 99" in page
    assert "1 more run has begun and not ended." in page


def test_several_folders_patterns_and_one_run(runs: Path, tmp_path: Path) -> None:
    for name, some in (("one", PRUNED[:4]), ("two", PRUNED[2:])):
        for id in {e.id for e in some} | {e.dense().id for e in some}:
            shutil.copytree(runs / id, tmp_path / name / id)
    together = tmp_path / "together"
    assert called(tmp_path / "one", tmp_path / "two", "--out", together)[0] == 0
    assert len(rows(together)) == 10  # what both hold counts once
    assert called(tmp_path / "[ot]*e", "--out", tmp_path / "a")[0] == 0
    assert len(rows(tmp_path / "a")) == 6
    assert called(runs / PRUNED[0].id, "--out", tmp_path / "b")[0] == 0
    assert list(rows(tmp_path / "b")) == [PRUNED[0].id]


def test_nothing_to_report_is_one_sentence(tmp_path: Path) -> None:
    code, said = called(tmp_path / "nowhere")
    assert code != 0
    assert "there is no folder" in said
    code, said = called(tmp_path)
    assert code != 0
    assert "no finished run is under" in said


def test_published_results_by_option(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "papers.csv"
    file.write_text(
        "task,model,method,source,compression,top1\n"
        "digits,digits-mlp,pruned,A 2015,4,95\n"
        "digits,digits-mlp,pruned,A 2015,4,0.95\n"
    )
    code, said = called(runs, "--out", tmp_path / "r", "--published", file)
    assert code == 0
    assert "left out papers.csv, line 3: top1 is in percent" in said
    assert "A 2015" in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
