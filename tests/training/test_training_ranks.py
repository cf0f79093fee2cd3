"""Two processes of Accelerate (gloo) train one network: equal bits on both, and the mathematics of one process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ranks import train

HERE = Path(__file__).parent


def launch(folder, size, norm):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HERE / "ranks.py"), str(folder), str(size), norm],
            env={**shared, "RANK": str(r), "LOCAL_RANK": str(r), "ACCELERATE_USE_CPU": "true"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for r in range(2)
    ]  # fmt: skip
    for process in ranks:
        said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said[-3000:]
    return [torch.load(folder / f"rank{r}.pt", weights_only=True) for r in range(2)]


@pytest.mark.parametrize("norm", ["group", pytest.param("batch", marks=pytest.mark.slow)])
def test_two_ranks_end_alike(norm, tmp_path):
    # batches of 20 leave one example for the last, which only one rank can have; of 34 leave 33, an odd number
    first, second = launch(tmp_path, 20 if norm == "group" else 34, norm)
    assert first["history"] == second["history"]
    for part in ("model", "masks"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(first[part][n], second[part][n]) for n in first[part])
    removed = sum(int((~m).sum()) for m in first["masks"].values())
    assert removed == (12 * 16 + 16 * 16) // 2
    assert not any(first["model"][n][~m].any() for n, m in first["masks"].items())
    if norm == "group":  # no statistics over a batch: two ranks are one, up to rounding
        alone = train(20, norm=False)
        assert [row["step"] for row in first["history"]] == [row["step"] for row in alone["history"]]
        for a, b in zip(first["history"], alone["history"], strict=True):
            assert a == pytest.approx(b, rel=1e-3)
        for name, value in alone["model"].items():
            torch.testing.assert_close(first["model"][name], value, rtol=1e-3, atol=1e-4)


def test_two_ranks_learn_alike(tmp_path):
    """What a score learns is in no data-parallel wrapper, and yet the same on both."""
    first, second = launch(tmp_path, 20, "learned")
    for part in ("model", "masks"):
        assert all(torch.equal(first[part][n], second[part][n]) for n in first[part])
    assert sum(int((~m).sum()) for m in first["masks"].values()) == (12 * 16 + 16 * 16) // 2
