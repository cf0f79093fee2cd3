"""Every example runs by itself and ends with its number."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from docs_blocks import ROOT, blocks

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"hf_trainer": "transformers", "lightning_module": "lightning", "shrink_onnx": "onnxruntime"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_prints_its_number(example, tmp_path):
    if example.stem in NEEDS:
        pytest.importorskip(NEEDS[example.stem])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    last = done.stdout.strip().splitlines()[-1]
    assert re.search(r"\d\.\d{2,}", last), f"the last line has no number: {last!r}"
    if found := re.search(r"accuracy (\d\.\d+)", last):
        assert float(found[1]) > 0.9
    assert not list(tmp_path.iterdir()), "an example leaves files behind"


def test_every_example_is_shown_in_the_documentation():
    shown = {b.included for page in (ROOT / "docs").rglob("*.md") for b in blocks(page, "python") if b.included}
    assert shown | {"examples/filters.py"} == {f"examples/{p.name}" for p in EXAMPLES}
