"""Gradual pruning in your own loop: a digits network that loses 95 % of its weights while it trains.

Run: python examples/own_loop.py
"""

import torch
from torch import nn

import secateur as sc
from secateur.allocation import Uniform
from secateur.schedule import Cubic
from secateur.training.data import load_data

EPOCHS, BATCH = 20, 64

torch.manual_seed(0)
digits = load_data("digits")
inputs, labels = digits.prepare(digits.train.inputs).flatten(1), digits.train.targets
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

steps = EPOCHS * (len(inputs) // BATCH)
ramp = Cubic(sparsity=0.95, begin=0, end=steps // 20 * 10, every=steps // 20)  # the second half is for recovery
pruner = sc.Pruner(model, sc.Recipe(allocation=Uniform(), schedule=ramp), optimizer=optimizer)

for _ in range(EPOCHS):
    for pick in torch.randperm(len(inputs))[: len(inputs) // BATCH * BATCH].split(BATCH):
        loss = nn.functional.cross_entropy(model(inputs[pick]), labels[pick])
        loss.backward()
        optimizer.step()
        pruner.step()
        optimizer.zero_grad()

with torch.no_grad():
    answers = model(digits.prepare(digits.test.inputs).flatten(1)).argmax(1)
accuracy = (answers == digits.test.targets).float().mean().item()
print(f"test accuracy {accuracy:.4f} at sparsity {pruner.sparsity:.4f} of {pruner.prunable:,} prunable parameters")
