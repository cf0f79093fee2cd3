"""New batch-norm statistics alone bring a pruned ResNet-20 back by more than five points; see bn-recalibration.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from secateur import Recipe, prune_
from secateur.recovery import recalibrate_
from secateur.schedule import OneShot
from secateur.training import Task
from secateur.training.data import Data, Split
from secateur.training.models import build_model, load_checkpoint

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "bn-recalibration.json"


@pytest.mark.data
@pytest.mark.slow
def test_resnet_20_at_80_percent(data_root: Path, cifar10: Data) -> None:
    file = data_root / "checkpoints/resnet-cifar10/resnet20.safetensors"
    if not file.is_file():
        pytest.skip(f"no checkpoint {file.name}")
    model, task = load_checkpoint(build_model("resnet_20"), file).eval(), Task(cifar10)
    test = Split(*cifar10.test[:2000])
    dense = task.evaluate(model, test)["top1"]
    prune_(model, Recipe(schedule=OneShot(sparsity=0.8)))
    raw = task.evaluate(model, test)["top1"]
    draw = torch.Generator().manual_seed(0)
    assert cifar10.augment is not None
    pictures = cifar10.augment(cifar10.train.inputs[torch.randperm(len(cifar10.train), generator=draw)[:1000]], draw)
    recalibrate_(model, [cifar10.prepare(part) for part in pictures.split(100)])
    recalibrated = task.evaluate(model, test)["top1"]
    assert dense > 0.9
    assert raw + 0.05 <= recalibrated < dense


def test_the_result_file_says_so() -> None:
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    assert all(found["holds"].values())
    for row in (found["figures"]["resnet_20_by_sparsity"]["0.8"], found["figures"]["resnet_56_at_0.8"]):
        assert row["gained"]["mean"] == pytest.approx(row["top1_recalibrated"]["mean"] - row["top1_raw"])
        assert row["gained"]["mean"] >= 0.05
        assert row["gained"]["n"] == 3
