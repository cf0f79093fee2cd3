"""A lottery ticket: train, prune a third of the survivors, put them back to their initial values, train again.

Run: python examples/lottery_ticket.py
"""

import torch
from torch import nn

import secateur as sc
from secateur.recovery import Rewind
from secateur.schedule import Iterative
from secateur.training.data import load_data

EPOCHS, BATCH = 10, 64

torch.manual_seed(0)
digits = load_data("digits")
inputs, labels = digits.prepare(digits.train.inputs).flatten(1), digits.train.targets
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
pruner = sc.Pruner(model, sc.Recipe(schedule=Iterative(rounds=5, rate=1 / 3), recovery=Rewind(to=0)))


def accuracy():
    with torch.no_grad():
        answers = model(digits.prepare(digits.test.inputs).flatten(1)).argmax(1)
    return (answers == digits.test.targets).float().mean().item()


for sparsity in pruner.rounds():  # the dense round first; then each round starts from the initial weights, masked
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for pick in torch.randperm(len(inputs)).split(BATCH):
            nn.functional.cross_entropy(model(inputs[pick]), labels[pick]).backward()
            optimizer.step()
            pruner.step()
            optimizer.zero_grad()
    print(f"round {pruner.round}  sparsity {sparsity:.4f}  test accuracy {accuracy():.4f}")
