"""Deep Compression in your own loop: a digits network is pruned, its weights are shared, and the file is small.

Run: python examples/deep_compression.py
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

import secateur as sc
from secateur.allocation import Uniform
from secateur.schedule import Cubic
from secateur.training.data import load_data

BATCH = 64

torch.manual_seed(0)
digits = load_data("digits")
inputs, labels = digits.prepare(digits.train.inputs).flatten(1), digits.train.targets
steps = len(inputs) // BATCH  # in a pass


def network():
    return nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))


def train(model, epochs, optimizer, stepped):
    for _ in range(epochs):
        for pick in torch.randperm(len(inputs))[: steps * BATCH].split(BATCH):
            nn.functional.cross_entropy(model(inputs[pick]), labels[pick]).backward()
            optimizer.step()
            stepped.step()  # a pruner or a sharer
            optimizer.zero_grad()


model = network()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
ramp = Cubic(sparsity=0.9, begin=0, end=15 * steps, every=steps)
train(model, 25, optimizer, sc.Pruner(model, sc.Recipe(allocation=Uniform(), schedule=ramp), optimizer=optimizer))

sharer = sc.Sharer(model, sc.Share(linear=3, vectors=4))  # 8 values a matrix, 16 a bias
train(model, 5, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9), sharer)
sharer.finish()

with tempfile.TemporaryDirectory() as folder:
    path = sc.compress(model, Path(folder) / "digits.safetensors")
    size, again = path.stat().st_size, sc.load(path, network())
with torch.no_grad():
    answers = again(digits.prepare(digits.test.inputs).flatten(1)).argmax(1)
accuracy = (answers == digits.test.targets).float().mean().item()
dense = sum(p.numel() for p in model.parameters()) * 4
print(f"test accuracy {accuracy:.4f} from a file of {size:,} bytes, {dense / size:.1f} times smaller than float32")
