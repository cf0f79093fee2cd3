"""Small networks whose units reach over layers. No test in here."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Three channels that two 1×1 convolutions make together; one of them reads them too."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Conv2d(2, 3, 1, bias=False), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)
        with torch.no_grad():
            self.a.weight.copy_(torch.tensor([[1.0, 3.0], [4.0, 4.0], [0.0, 2.0]]).view(3, 2, 1, 1))
            self.b.weight.copy_(torch.tensor([[9.0, 0.0, 0.0], [1.0, -1.0, 1.0], [3.0, 3.0, 3.0]]).view(3, 3, 1, 1))
            self.b.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
            self.out.weight.copy_(torch.tensor([[5.0, 0.0, 7.0], [5.0, 1.0, 7.0]]))

    def forward(self, x):
        x = self.a(x)
        return self.out((x + F.relu(self.b(x))).mean((2, 3)))


class Net(nn.Module):
    """A stem, a residual block with a depthwise convolution and batch norms, a flattened head with a hidden layer."""

    def __init__(self, width=6, inner=8, hidden=10, bias=False, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, self.bn0 = nn.Conv2d(3, width, 3, padding=1, bias=bias), nn.BatchNorm2d(width)
            self.up, self.bn1 = nn.Conv2d(width, inner, 1, bias=bias), nn.BatchNorm2d(inner)
            self.depth, self.bn2 = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=bias), nn.BatchNorm2d(inner)
            self.down, self.bn3 = nn.Conv2d(inner, width, 1, bias=bias), nn.BatchNorm2d(width)
            self.hidden, self.out = nn.Linear(4 * width, hidden), nn.Linear(hidden, 4)
            for m in self.modules():
                if isinstance(m, nn.BatchNorm2d):
                    nn.init.uniform_(m.weight, 0.5, 1.5)
                    nn.init.normal_(m.bias, std=0.2)
                    m.running_mean.normal_(std=0.2)
                    m.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        x = F.relu(self.bn0(self.stem(x)))
        y = F.relu(self.bn2(self.depth(F.relu(self.bn1(self.up(x))))))
        x = F.relu(x + self.bn3(self.down(y)))
        return self.out(F.relu(self.hidden(F.adaptive_avg_pool2d(x, 2).flatten(1))))


IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def batches(count, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [(torch.randn(6, 3, 8, 8, generator=g), torch.randint(4, (6,), generator=g)) for _ in range(count)]


class Attention(nn.Module):
    """Grouped queries of their own layers, with a relative bias for each head, then a gated block."""

    def __init__(self, heads=6, kv=3, width=4, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.heads, self.kv, self.width = heads, kv, width
            self.embed, self.norm = nn.Embedding(20, 16), nn.LayerNorm(16)
            self.q, self.k, self.v = nn.Linear(16, heads * width), nn.Linear(16, kv * width), nn.Linear(16, kv * width)
            self.o, self.gate, self.up, self.down = (
                nn.Linear(heads * width, 16), nn.Linear(16, 10), nn.Linear(16, 10), nn.Linear(10, 16),
            )  # fmt: skip
            self.out = nn.Linear(16, 20)

    def forward(self, tokens):
        x = self.embed(tokens)
        y = self.norm(x)
        q = self.q(y).unflatten(-1, (self.heads, self.width)).transpose(1, 2)
        k, v = (f(y).unflatten(-1, (self.kv, self.width)).transpose(1, 2) for f in (self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.5, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        return self.out(x + self.down(F.silu(self.gate(x)) * self.up(x)))


TOKENS = torch.randint(20, (2, 5), generator=torch.Generator().manual_seed(3))
