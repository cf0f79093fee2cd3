"""Filters of a small convolutional network, to a compression of the whole model; saved, loaded, equal.

Run: python examples/filters.py
"""

import tempfile
from pathlib import Path

import torch

import secateur as sc
from secateur.schedule import OneShot
from secateur.score import Magnitude
from secateur.structure import Filters
from secateur.training import Task, Training, fit
from secateur.training.data import load_data
from secateur.training.models import build_model

torch.manual_seed(0)
task = Task(load_data("digits"))
model = build_model("digits_cnn")
fit(model, task, Training(epochs=6))

recipe = sc.Recipe(structure=Filters(), score=Magnitude(p=2), schedule=OneShot())
pruner = sc.Pruner(model, recipe, target=sc.Compression(4)).prune()
fit(model, task, Training(epochs=6, learning_rate=0.02), pruner=pruner)

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "model.safetensors"
    sc.save(model, file, metadata={"recipe": recipe})
    again = sc.load(file, build_model("digits_cnn"))
    size = file.stat().st_size
assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))

found = sc.measure(again, torch.zeros(1, 1, 8, 8), latency=False)
top1 = task.evaluate(again, task.data.test)["top1"]
print(f"compression {found.compression:.2f}  test accuracy {top1:.4f}  file {size:,} bytes, {found.dense_bytes:,} dense")
