"""The tutorial on a score of one's own, followed to the letter by somebody with an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from docs_blocks import ROOT, blocks

PAGE = ROOT / "docs" / "guides" / "own-score.md"


def write(folder, language):
    """The blocks whose first line names a file."""
    for block in blocks(PAGE, language):
        first = block.text.splitlines()[0]
        if first.startswith("# ") and "." in first:
            (folder / first.removeprefix("# ")).write_text(block.text)


def test_the_score_is_on_the_chart(tmp_path):
    pytest.importorskip("accelerate")
    write(tmp_path, "python")
    write(tmp_path, "yaml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my_score.py", "sweep.yaml"]
    (console,) = blocks(PAGE, "console")
    words = console.text.strip().removeprefix("$ secateur ").split()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "secateur.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "contract" not in done.stdout
    assert "relative size" in done.stdout
    page = tmp_path / "runs" / "report-sweep" / "report.html"
    assert f"report: {page.relative_to(tmp_path)}" in done.stdout
    results = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/result.json")]
    assert len(results) == 2 * (1 + 5 * 2)  # dense; random, magnitude, scratch, lamp and the score at two compressions
    mine = [r for r in results if r["experiment"]["method"] == "relative_size"]
    assert len(mine) == 4
    assert all(list(r["experiment"]["sources"]) == ["my_score"] for r in mine)
    assert all("my_score" not in r["experiment"]["sources"] for r in results if r not in mine)
    again = [sys.executable, "-m", "secateur.cli", "report", "runs", "--out", "page"]
    for more, there in (([], False), (["--import", "my_score.py"], True)):
        done = subprocess.run([*again, *more], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert ("left out" in done.stdout) is not there
        assert ("relative size" in (tmp_path / "page" / "points.csv").read_text().replace("_", " ")) is there
