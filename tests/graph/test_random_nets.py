"""Networks put together by chance: no coupling is missed, whatever follows what."""

from __future__ import annotations

from collections.abc import Callable

import nets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shrinks import shrink_and_check
from test_oracle import verify
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.graph.groups import find_groups

WIDTHS = st.sampled_from([4, 8, 12])
Piece = Callable[[int], nn.Module]


class Added(nn.Module):
    """A branch and a shortcut."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(n, 6, 1), nn.Tanh(), nn.Conv2d(6, n, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Joined(nn.Module):
    """Two branches side by side, and a mix of both."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.a, self.b, self.mix = nn.Conv2d(n, n, 1), nn.Conv2d(n, 4, 1), nn.Conv2d(n + 4, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([torch.tanh(self.a(x)), self.b(x)], 1))


class Halves(nn.Module):
    """The second half gates the first; both are put in the other's place."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n // 2, n // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return torch.cat([self.conv(b), a * torch.sigmoid(b)], 1)


class Shuffled(nn.Module):
    def __init__(self, n: int, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class Attended(nn.Module):
    """Attention among the places of an image."""

    def __init__(self, n: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(n, 3 * n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, scale=0.5)
        return x + self.out(y.transpose(1, 2).flatten(2)).transpose(1, 2).reshape(n, c, h, w)


class Padded(nn.Module):
    """Zeros beside the channels, then as many as before."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n + 3, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 0, 0, 0, 1, 2)))


PIECES: dict[str, Piece] = {
    "conv": lambda n: nn.Conv2d(n, n, 3, padding=1),
    "grouped": lambda n: nn.Conv2d(n, n, 1, groups=4),
    "paired": lambda n: nn.Conv2d(n, n, 1, groups=2),
    "depthwise": lambda n: nn.Conv2d(n, n, 3, padding=1, groups=n),
    "transposed": lambda n: nn.ConvTranspose2d(n, n, 3, padding=1, groups=2),
    "batch norm": nn.BatchNorm2d,
    "tanh": lambda n: nn.Tanh(),
    "prelu": nn.PReLU,
    "added": Added,
    "joined": Joined,
    "halves": Halves,
    "shuffled": lambda n: Shuffled(n, 2),
    "shuffled by 4": lambda n: Shuffled(n, 4),
    "attended": lambda n: Attended(n, 2),
    "padded": Padded,
}


@settings(max_examples=15)
@given(WIDTHS, st.lists(st.sampled_from(list(PIECES)), min_size=1, max_size=5), st.booleans())
def test_zero_equals_cut_in_any_network(n: int, names: list[str], flat: bool) -> None:
    pieces = [PIECES[name](n) for name in names]
    head = [nn.Flatten(), nn.Linear(n * 9, 2)] if flat else [nn.Conv2d(n, 2, 3), nn.Flatten()]
    net = nets.randomise(nn.Sequential(nn.Conv2d(2, n, 1), *pieces, *head))
    x = nets.images(3, 2)
    groups = find_groups(net, x)
    assert not groups.unknown
    verify(net, x, groups, units=1)


@settings(max_examples=20)
@given(WIDTHS, st.lists(st.sampled_from(list(PIECES)), min_size=1, max_size=4), st.data())
def test_masked_is_shrunken_in_any_network_by_any_plan(n: int, names: list[str], data: st.DataObject) -> None:
    pieces = [PIECES[name](n) for name in names]
    net = nets.randomise(nn.Sequential(nn.Conv2d(2, n, 1), *pieces, nn.Conv2d(n, 2, 3), nn.Flatten()))
    x = nets.images(3, 2)
    groups = find_groups(net, x)
    every = st.sampled_from([g.name for g in groups.prunable] or [""])
    chosen = [g for g in data.draw(st.lists(every, min_size=1, unique=True)) if g]
    plan = {g: data.draw(st.lists(st.integers(0, groups[g].units - 1), min_size=1, unique=True).map(sorted), g) for g in chosen}
    shrunk = shrink_and_check(net, x, plan, least=0)
    assert all("\n" not in reason and len(reason) > 20 for reason in shrunk.kept.values())
