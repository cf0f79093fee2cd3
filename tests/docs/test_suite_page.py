"""The standard suite's page: from runs, of which some are missing, to its tables and its figure."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from secateur.lab import Sweep, make_plan, run_all

ROOT = Path(__file__).parents[2]
SWEEP = """# Two methods. Budget: seconds.
title: A small suite
networks:
  - {task: digits, model: digits_mlp, training: {epochs: 1}, finetune: {epochs: 1}}
methods:
  - lamp
  - depth
  - soft_movement: {compressions: own}
compressions: [2, 8]
seeds: [0, 1]
controls: [dense, random]
"""


def script(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a result file, with a sweep that was stopped: all runs of the first seed but those of soft_movement."""
    folder = tmp_path_factory.mktemp("suite")
    file = folder / "small.yaml"
    file.write_text(SWEEP)
    collect = script("benchmarks/suite/collect.py")
    plan = make_plan(Sweep.load(file), folder / "runs")
    some = [e for e in plan.experiments if e.seed == 0 and e.method != "soft_movement"]
    run_all(some, folder / "runs", workers=1)
    collect.RESULTS = folder / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["collect.py", str(file), "--out", str(folder / "runs")])
        collect.main()
    return folder / "results"


def test_the_file_has_every_run_and_what_is_missing(told: Path) -> None:
    data = json.loads((told / "small.json").read_text())
    assert (data["runs"], data["finished"], len(data["points"])) == (12, 5, 5)
    assert data["budget"] == "Two methods. Budget: seconds."
    assert data["wanted"] == {"dense": 2, "random": 4, "lamp": 4, "soft_movement": 2}
    assert data["at_its_own_compression"] == ["soft_movement"]
    assert [m for _, m, _ in data["left_out"]] == ["depth"]
    assert data["environment"]["torch"]


def test_the_page_says_what_is_there_and_what_is_not(told: Path) -> None:
    page = script("docs/suite_page.py")
    text = page.page(told)
    top1 = {
        (p.method, p.target_compression): f"{100 * p.top1:.2f}"
        for p in page.points(json.loads((told / "small.json").read_text()))
    }
    assert "**Not finished**: 5 of 12 runs are there." in text
    assert "| method | 2× | 8× | at its own |" in text
    assert f"| dense | {top1['dense', 1.0]} |" in text
    (lamp,) = [line for line in text.splitlines() if line.startswith("| lamp |") and "(1)" in line]
    assert f"{top1['lamp', 2.0]} (1)" in lamp
    assert f"{top1['lamp', 8.0]} (1)" in lamp
    assert "| soft movement |  |  | ○ |" in text
    assert "Left out: `depth` (the model has no residual branch" in text
    assert "## Not run yet" in text
    ((path, svg),) = page.figures(told).items()
    assert path.name == "suite-small.svg"
    assert "lamp" in svg
    assert svg == page.figures(told)[path]
