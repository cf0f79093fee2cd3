from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from secateur.codec import save
from secateur.core.errors import ModelError
from secateur.evaluate.measure import measure


def half() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    with torch.no_grad():
        model[0].weight[::2] = 0
    return model


def test_figures_of_a_small_network() -> None:
    model = half()
    with torch.no_grad():  # so that no other entry happens to be zero
        model[1].bias.fill_(1)
    m = measure(model, torch.zeros(4, 64), latency=False)
    parameters = 64 * 32 + 32 + 64 + 320 + 10
    assert (m.parameters, m.nonzero) == (parameters, parameters - 1024)
    assert m.compression == pytest.approx(parameters / (parameters - 1024))
    assert (m.macs, m.effective_macs, m.dense_bytes, m.batch) == (2368, 1344, 4 * parameters, 4)
    assert m.speedup == pytest.approx(2368 / 1344)
    assert m.latency is None
    assert m.notes == ()
    assert (m.layers[0].name, m.layers[0].sparsity) == ("0.weight", 0.5)


def test_file_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    model, path = half(), tmp_path / "m.safetensors"
    save(model, path)
    found = measure(model, torch.zeros(1, 64), latency=False)
    assert found.file_bytes == path.stat().st_size
    assert found.file_ratio == found.dense_bytes / path.stat().st_size
    path.write_bytes(b"x" * 100)
    assert measure(model, torch.zeros(1, 64), latency=False, path=path).file_bytes == 100


def test_against_a_dense_network_in_three_forms() -> None:
    dense, small, x = nn.Linear(64, 32), nn.Linear(64, 8), torch.zeros(1, 64)
    m = measure(dense, x, latency=False)
    for against in (dense, m, m.to_dict()):
        found = measure(small, x, dense=against, latency=False)
        assert (found.parameters, found.compression, found.speedup) == (65 * 32, 4.0, 4.0)
    with pytest.raises(ModelError, match="dense must be"):
        measure(small, x, dense={"weight": torch.zeros(3)}, latency=False)


def test_a_model_that_cannot_be_traced_has_no_macs() -> None:
    class Branch(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() > -1 else x

    m = measure(Branch(4, 3), torch.zeros(2, 4), latency=False)
    assert (m.macs, m.effective_macs, m.speedup, m.parameters) == (None, None, None, 15)
    assert "cannot be traced" in m.notes[0]
    assert "cannot be traced" in " ".join(str(m).split())


def test_a_tied_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    m = measure(model, torch.zeros(1, 4), latency=False)
    assert (m.parameters, m.nonzero, m.macs, len(m.layers)) == (16, 16, 32, 1)


def test_an_operation_without_a_rule_is_a_note_and_no_warning() -> None:
    class Distance(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cdist(x, self.weight)

    assert "aten::cdist" in measure(Distance(4, 3), torch.zeros(2, 4), latency=False).notes[0]


def test_it_prints_and_is_json() -> None:
    m = measure(half(), torch.zeros(2, 64), threads=1)
    assert m.latency is not None
    assert m.latency.threads == 1
    assert json.loads(json.dumps(m.to_dict()))["layers"][0]["shape"] == [32, 64]
    text = str(m)
    assert "0.weight" in text
    assert "compression" in text
    assert "1 thread" in text
