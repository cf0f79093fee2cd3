"""The benches beside the kernels: every case against float64, and run by the kernel it is of."""

from __future__ import annotations

import pytest

pytest.importorskip("llvmlite")

from typer.testing import CliRunner

from secateur.cli import app
from secateur.core.errors import RecipeError
from secateur.runtime import bench
from secateur.runtime.target import TARGETS

LARGE = "4096→4096, one vector, 90%"
CASES = [
    pytest.param(op, case, marks=pytest.mark.slow) if (op, case) == ("spmm", LARGE) else (op, case)
    for op, cases in bench.CASES.items()
    for case in cases
]
RUNS = {"gemv": ["one vector"], "layer_norm": ["layer norm"], "pointwise": ["add", "gelu", "silu", "clamp"], "pool": [" pool"],
        "spmm": [" vectors"]}  # fmt: skip


@pytest.mark.parametrize(("op", "case"), CASES)
def test_every_case(op, case):
    assert bench.error(op, case) < 1e-5
    found = bench.support(op, case)
    assert list(found) == list(TARGETS)
    for kernels in found.values():
        if kernels != "not on this CPU":
            assert any(name in kernels for name in RUNS.get(op, [op])), kernels


def test_every_folder_has_one():
    from pathlib import Path

    import secateur.runtime.kernels as kernels

    folders = {p.parent.name for p in Path(kernels.__file__).parent.glob("*/cpu.py")}
    assert folders - {"run"} == set(bench.CASES)  # run is what runs them


def test_times():
    ours, theirs = bench.milliseconds("mean", "2048 @7", seconds=0.01)
    assert ours > 0
    assert theirs > 0


@pytest.mark.parametrize(("mode", "head"), [("test", "float64"), ("perf", "eager"), ("support", "avx2")])
def test_command(mode, head):
    done = CliRunner().invoke(app, ["bench", "ops", "mean", "--mode", mode])
    assert done.exit_code == 0
    assert head in done.output
    assert "2048 @7" in done.output


@pytest.mark.parametrize("words", [["nothing"], ["mean", "--mode", "fast"]])
def test_what_is_not_there(words):
    done = CliRunner().invoke(app, ["bench", "ops", *words])
    assert isinstance(done.exception, RecipeError)
    assert "OP is one of attention, depthwise, gemv" in str(done.exception)
