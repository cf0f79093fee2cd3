"""A run on a machine with a GPU: trained there, measured on the CPU."""

from __future__ import annotations

import dataclasses as dc

import pytest
import torch
from lab_runs import KINDS, small

from secateur import Recipe
from secateur.lab import load_model, run
from secateur.recovery import Finetune, Reconstruct
from secateur.schedule import OneShot
from secateur.score import OBD, OBS, Grasp, SynFlow

ARGUMENTS = {"examples": 1293, "sparsity": 0.5, "steps": 8}
OF_A_GPU = {
    **KINDS,
    "variational_dropout": small(method="variational_dropout", method_arguments=ARGUMENTS, start="initial"),
    "l0_hard_concrete": small(method="l0_hard_concrete", method_arguments=ARGUMENTS, start="initial"),
    "movement": small(method="movement", method_arguments={"begin": 1, "end": 9, "every": 2}, start="initial"),
    "synflow": small(recipe=Recipe(score=SynFlow(), schedule=OneShot(sparsity=0.8)), start="initial"),
    "grasp": small(recipe=Recipe(score=Grasp(), schedule=OneShot(sparsity=0.8)), start="initial"),
    "obd": small(recipe=Recipe(score=OBD(), schedule=OneShot(sparsity=0.8), recovery=Finetune(epochs=1.0))),
    "obs": small(recipe=Recipe(score=OBS(), schedule=OneShot(sparsity=0.8), recovery=Reconstruct())),
    "recalibrated": small(
        model="digits_cnn", model_arguments={}, recipe=dc.replace(KINDS["filters"].recipe, schedule=OneShot(sparsity=0.3))
    ),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", OF_A_GPU)
def test_a_run_on_a_gpu_ends_with_a_network_on_the_cpu(kind, tmp_path):
    experiment = OF_A_GPU[kind]
    result = run(experiment, tmp_path)
    assert result["environment"]["accelerator"] == torch.cuda.get_device_name()
    assert 0 < result["latency_ms"] < 1000
    assert {p.device.type for p in load_model(experiment, tmp_path).parameters()} == {"cpu"}
    if experiment.recipe is not None:
        assert result["compression"] > 1.2
