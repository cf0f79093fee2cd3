"""I_h = E_x |∂L/∂ξ_h|, and what it says of the loss without a head."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur import DataError, ModelError, Pruner, prune_, shrink_
from secateur.methods import michel_2019
from secateur.structure import Heads


class Block(nn.Module):
    def __init__(self, width=24, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, 32), nn.Linear(32, width)
        self.gate = None

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = (f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)
        if self.gate is not None:
            y = y * self.gate.view(1, -1, 1, 1)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Three layers of four heads."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(6, 24), nn.Parameter(torch.randn(7, 24))
        self.blocks, self.out = nn.ModuleList(Block() for _ in range(3)), nn.Linear(24, 6)

    def forward(self, tokens):
        x = self.embed(tokens) + self.place
        for block in self.blocks:
            x = block(x)
        return self.out(x[:, 0])


def data(n, seed):
    """The first token names a place; the answer is the token there."""
    g = torch.Generator().manual_seed(seed)
    tokens, at = torch.randint(6, (n, 6), generator=g), torch.randint(6, (n,), generator=g)
    return torch.cat([at[:, None], tokens], 1), tokens[torch.arange(n), at]


@pytest.fixture(scope="module")
def trained():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transformer()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        x, y = data(4096, 1)
        for step in range(400):
            batch = slice(step * 64 % 4096, step * 64 % 4096 + 64)
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    x, y = data(256, 2)
    model.eval()
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9
    return model, x, y


def gate_gradients(model, x, y):
    """I of every head, from gates in the forward."""
    sums = [torch.zeros(4) for _ in model.blocks]
    for i in range(len(x)):
        for block in model.blocks:
            block.gate = torch.ones(4, requires_grad=True)
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        found = torch.autograd.grad(loss, [b.gate for b in model.blocks])
        sums = [s + g.abs() / len(x) for s, g in zip(sums, found, strict=True)]
    for block in model.blocks:
        block.gate = None
    return sums


def scores(model, x, y, recipe):
    pruner = Pruner(model, recipe, example_inputs=x[:2], data=[(x, y)])
    return pruner, [pruner._evidence.layers(0)[k].score() for k in range(3)]


def test_scores_are_the_gradients_of_gates(trained):
    model, x, y = trained
    x, y = x[:24], y[:24]
    pruner, found = scores(model, x, y, michel_2019())
    assert [t.units for t in pruner.targets.values()] == [4, 4, 4]
    for wanted, got in zip(gate_gradients(model, x, y), found, strict=True):
        wanted = wanted / wanted.norm()
        wanted[wanted.argmax()] = float("inf")  # the best head of a layer stays
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_they_rank_heads_as_the_loss_without_each_does(trained):
    model, x, y = trained
    base = float(F.cross_entropy(model(x), y).detach())
    importance = torch.cat(gate_gradients(model, x, y))
    change = []
    with torch.no_grad():
        for block in model.blocks:
            for head in range(4):
                block.gate = torch.ones(4)
                block.gate[head] = 0
                change.append(abs(float(F.cross_entropy(model(x), y)) - base))
            block.gate = None
    ranks = [torch.tensor(v).argsort().argsort().double() for v in (importance.tolist(), change)]
    rho = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    assert rho >= 0.6


def test_rounds_take_equal_steps_and_a_gate_at_zero_is_a_cut(trained):
    model, x, y = trained
    before = {n: v.clone() for n, v in model.state_dict().items()}
    recipe = michel_2019(sparsity=0.5, rounds=3)
    assert [round(recipe.schedule.at_round(r), 9) for r in (1, 2, 3)] == [round(r / 6, 9) for r in (1, 2, 3)]
    pruner = Pruner(model, recipe, example_inputs=x[:2], data=[(x[:64], y[:64])])
    gone = [sum(map(len, pruner.plan.values())) for _ in pruner.rounds()]
    assert gone == [0, 2, 4, 6]
    plan, masked = pruner.plan, model(x)
    model.load_state_dict(before)
    for k, block in enumerate(model.blocks):
        block.gate = torch.ones(4)
        block.gate[plan.get(f"blocks.{k}.q#2", plan.get(f"blocks.{k}.q", []))] = 0
    gated = model(x)
    for block in model.blocks:
        block.gate = None
    torch.testing.assert_close(masked, gated, rtol=1e-4, atol=1e-4)
    pruner.apply()
    assert shrink_(model, x[:2], plan).error < 1e-10
    torch.testing.assert_close(model(x), gated, rtol=1e-4, atol=1e-4)


def test_what_it_needs():
    x, y = data(4, 0)
    with pytest.raises(ModelError, match="the units of structure 'heads' reach over several layers"):
        Pruner(Transformer(), michel_2019(), data=[(x, y)])
    with pytest.raises(DataError, match="score 'taylor' needs the gradient of each example"):
        prune_(Transformer(), michel_2019(), example_inputs=x)
    assert michel_2019().structure == Heads(reduce="abs_sum", members="consumers", normalize="l2")
