"""Forms of operations that few models use: each in a network of its own, tried out on numbers."""

from __future__ import annotations

from collections.abc import Callable

import nets
import pytest
import torch
from test_oracle import verify
from torch import Tensor, nn

from secateur.graph.groups import find_groups


class Between(nn.Module):
    """A linear layer, something, a linear layer."""

    def __init__(self, f: Callable[[Between, Tensor], Tensor], mid: int = 8, after: int = 8) -> None:
        super().__init__()
        self.heads, self.width = 2, 4
        self.up, self.other, self.down, self.f = nn.Linear(6, mid), nn.Linear(6, mid), nn.Linear(after, 3), f

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.f(self, x))


def ellipsis(m: Between, x: Tensor) -> Tensor:
    q, k = (f(x).view(*x.shape[:2], m.heads, m.width) for f in (m.up, m.other))
    scores = torch.einsum("...qhd,...khd->...hqk", q, k)
    return torch.einsum("...hqk,...khd->...qhd", scores, k).flatten(2)


def implicit(m: Between, x: Tensor) -> Tensor:
    return torch.einsum("bij,jk", m.up(x), m.other.weight).softmax(-1) @ m.other.weight.T


def response_norm(m: Between, x: Tensor) -> Tensor:
    y = torch.relu(m.up(x))
    size = y.norm(p=2, dim=1, keepdim=True)
    return y * (size / (size.mean(-1, keepdim=True) + 1e-6)) + y


# the network, and how many of its groups can be pruned
FORMS: dict[str, tuple[Callable[[Between, Tensor], Tensor], int]] = {
    "einsum with an ellipsis": (ellipsis, 2),
    "einsum without a result": (implicit, 1),
    "a mean that a norm divides by": (response_norm, 1),
}


@pytest.mark.parametrize("name", FORMS)
def test_zero_equals_cut(name: str) -> None:
    f, prunable = FORMS[name]
    model, x = nets.randomise(Between(f)), torch.randn(2, 5, 6)
    groups = find_groups(model, x)
    assert not groups.unknown
    verify(model, x, groups)
    assert len(groups.prunable) == prunable, groups
