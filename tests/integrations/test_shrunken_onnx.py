"""A shrunken model exported to ONNX computes the same in onnxruntime, also on batches of other sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import secateur as sc
from secateur.graph.groups import find_groups
from secateur.training.models import ResNet

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.filterwarnings("ignore")


def session(model: nn.Module, inputs: dict[str, torch.Tensor], path: Path, dynamic: dict[str, Any]) -> Any:
    torch.onnx.export(model, (), path, kwargs=inputs, dynamo=True, dynamic_shapes=dynamic, input_names=[*inputs], verbose=False)
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


def close(run: Any, model: nn.Module, inputs: dict[str, torch.Tensor]) -> bool:
    (found, *_) = run.run(None, {n: x.numpy() for n, x in inputs.items()})
    with torch.no_grad():
        out = model(**inputs)
    expected = out if isinstance(out, torch.Tensor) else out.logits
    found = torch.from_numpy(found)
    assert float(expected.std()) > 1e-2
    return found.shape == expected.shape and bool(((found - expected).norm() / expected.norm() < 1e-5).all())


def numbers(path: Path) -> int:
    """How many floating-point numbers the file holds."""
    tensors = onnx.load(path).graph.initializer
    return sum(torch.Size(t.dims).numel() for t in tensors if t.data_type == onnx.TensorProto.FLOAT)


def test_resnet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNet(20, width=0.5).eval()
    x = torch.randn(2, 3, 32, 32)
    plan = {g.name: range(0, g.units, 2) for g in find_groups(model, x).prunable}
    shrunk = sc.shrink_(model, x, plan)
    assert shrunk.params[1] < 0.3 * shrunk.params[0]
    run = session(model, {"x": x}, tmp_path / "m.onnx", {"x": {0: "batch"}})
    assert close(run, model, {"x": x})
    assert close(run, model, {"x": torch.randn(5, 3, 32, 32)})
    assert numbers(tmp_path / "m.onnx") <= shrunk.params[1] + 100, "the dense weights are not in there"


def test_bert(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, vocab_size=30, initializer_range=0.4
    )
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    ids = torch.randint(0, 30, (2, 6))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    heads, first = "bert.encoder.layer.0.attention.self.query#2", "bert.encoder.layer.0.intermediate.dense"
    assert sc.shrink_(model, inputs, {heads: [1, 2], first: range(20)}).cut == {heads: 2, first: 20}
    axes = {0: "batch", 1: "length"}
    run = session(model, inputs, tmp_path / "m.onnx", {"input_ids": axes, "attention_mask": axes})
    assert close(run, model, inputs)
    more = torch.randint(0, 30, (3, 9))
    mask = torch.ones_like(more)
    mask[0, 5:] = 0
    assert close(run, model, {"input_ids": more, "attention_mask": mask})
