"""Small networks with what usually breaks structured pruning. No test in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


def gated(act: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    """A linear layer whose halves gate one another."""
    return nn.Sequential(nn.Linear(5, 12), nn.GLU(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


class SwiGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.both, self.down = nn.Linear(5, 14), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.both(x).chunk(2, -1)
        return self.down(F.silu(gate) * value)


class PixelShuffle(nn.Module):
    """Four channels become one of twice the size; and back."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 12, 1), nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(20, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.a(x), 2)
        return self.c(F.pixel_unshuffle(torch.relu(self.b(x)), 2)).mean((2, 3))


class PatchMerging(nn.Module):
    """Every second pixel, four times, side by side, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.merge, self.out = nn.Conv2d(3, 6, 1), nn.Linear(24, 10, bias=False), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.out(torch.relu(self.merge(x))).mean((1, 2))


class Window(nn.Module):
    """Attention inside windows, with a relative bias of each head, as in Swin."""

    def __init__(self, width: int = 12, heads: int = 3, window: int = 2) -> None:
        super().__init__()
        self.heads, self.window, self.size = heads, window, width // heads
        self.stem, self.qkv, self.proj = nn.Conv2d(3, width, 1), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        relative = at[:, :, None] - at[:, None] + window - 1
        self.register_buffer("index", relative[0] * (2 * window - 1) + relative[1])
        self.out = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        k = self.window
        parts = x.view(b, h // k, k, w // k, k, c).transpose(2, 3).reshape(-1, k * k, c)
        q, key, v = self.qkv(parts).unflatten(-1, (3, self.heads, self.size)).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index.view(-1)].view(k * k, k * k, -1).permute(2, 0, 1)
        scores = (q @ key.transpose(-1, -2) * 0.5 + bias).softmax(-1)
        y = self.proj((scores @ v).transpose(1, 2).reshape(-1, k * k, self.heads * self.size))
        y = y.view(b, h // k, w // k, k, k, c).transpose(2, 3).reshape(b, h, w, c)
        return self.out((x + y).mean((1, 2)))


class T5Bias(nn.Module):
    """A bias of each head from an embedding of distances."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.size = 4, 3
        self.embed, self.distances = nn.Embedding(15, 10), nn.Embedding(11, 4)
        self.q, self.k, self.v, self.o = (
            (nn.Linear(10, 12, bias=False) for _ in range(3)),
            None,
            None,
            nn.Linear(12, 10, bias=False),
        )
        self.q, self.k, self.v = (nn.Linear(10, 12, bias=False) for _ in range(3))
        self.out = nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        split = lambda y: y.view(*tokens.shape, self.heads, self.size).transpose(1, 2)  # noqa: E731
        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        at = torch.arange(tokens.shape[1])
        bias = self.distances((at[:, None] - at).clamp(-5, 5) + 5).permute(2, 0, 1)[None]
        y = (q @ k.transpose(-1, -2) + bias).softmax(-1) @ v
        return self.out(x + self.o(y.transpose(1, 2).reshape(*tokens.shape, -1)))


class Interleaved(nn.Module):
    """Rotary positions whose pairs stand side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.size = 2, 8
        self.embed, self.out = nn.Embedding(15, 10), nn.Linear(10, 3)
        self.q, self.k, self.v = (nn.Linear(10, 16, bias=False) for _ in range(3))
        self.o = nn.Linear(16, 10, bias=False)
        self.register_buffer("frequency", 1 / 100 ** (torch.arange(4) / 4))

    def rotate(self, x: Tensor) -> Tensor:
        angle = torch.arange(x.shape[2])[:, None] * self.frequency
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        q, k, v = (f(x).view(*tokens.shape, self.heads, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, scale=0.4)
        return self.out(x + self.o(y.transpose(1, 2).flatten(2)))


class Alternating(nn.Module):
    """Every second channel is worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 12), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(x))
        return self.c(self.b(x[:, 0::2]) * x[:, 1::2])


class Normed(nn.Module):
    """A layer whose weight is normed, between others."""

    def __init__(self, norm: Callable[[nn.Module], nn.Module]) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(5, 10), norm(nn.Linear(10, 8)), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.d(torch.tanh(self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))))


class Experts(nn.Module):
    """A soft mixture: every expert sees everything."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate, self.out = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(8, 2)
        self.up, self.down = nn.Parameter(torch.randn(3, 8, 10)), nn.Parameter(torch.randn(3, 10, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        weights = self.gate(x).softmax(-1)
        y = torch.einsum("bd,edh->beh", x, self.up).relu()
        return self.out(x + torch.einsum("beh,ehd,be->bd", y, self.down, weights))


class Routed(nn.Module):
    """Two of three experts work on each example, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate, self.out = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(8, 2)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 8)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        best, which = self.gate(x).topk(2, -1)
        weights = torch.zeros(x.shape[0], 3, dtype=x.dtype).scatter(-1, which, best.softmax(-1))
        return self.out(x + sum(weights[:, k, None] * e(x) for k, e in enumerate(self.experts)))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.before, self.rnn, self.after = nn.Linear(5, 6), kind(6, 8, batch_first=True), nn.Linear(8, 10)
        self.out = nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.after(self.rnn(torch.tanh(self.before(x)))[0])))


class Encoder(nn.Module):
    """PyTorch's own layers around a free one."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 12)
        self.layer = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True, norm_first=True)
        self.mid, self.out = nn.Linear(12, 9), nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.mid(self.layer(self.embed(x)))))


class Reused(nn.Module):
    """One block at three depths, and its weight once more, turned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.out = (
            nn.Linear(5, 8),
            nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 8)),
            nn.Linear(8, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(3):
            x = x + self.block(x)
        return self.out(x + F.linear(torch.tanh(F.linear(x, self.block[2].weight.t())), self.block[2].weight))


class Repeated(nn.Module):
    """Keys are repeated for several queries; for a single one another way is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.kv, self.times, self.size = 2, 2, 3
        self.q, self.k, self.v = nn.Linear(5, 12), nn.Linear(5, 6), nn.Linear(5, 6)
        self.out = nn.Linear(12, 3)

    def repeat(self, x: Tensor) -> Tensor:
        if self.times == 1:
            return x
        b, kv, n, d = x.shape
        return x[:, :, None].expand(b, kv, self.times, n, d).reshape(b, kv * self.times, n, d)

    def forward(self, x: Tensor) -> Tensor:
        split = lambda y: y.unflatten(-1, (-1, self.size)).transpose(1, 2)  # noqa: E731
        q, k, v = split(self.q(x)), self.repeat(split(self.k(x))), self.repeat(split(self.v(x)))
        return self.out(((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Lookup(nn.Module):
    """Some channels by number, some from behind."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(x))
        return self.b(x) + x[:, 2:3] * x[:, -2, None]


class Halved(nn.Module):
    """A part of the channels is worked on, its size an attribute; the rest is counted from behind."""

    def __init__(self) -> None:
        super().__init__()
        self.part = 4
        self.a, self.b, self.c = nn.Linear(5, 12), nn.Linear(4, 4), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(x))
        first, rest, last = x[:, : self.part], x[:, self.part :], x[:, -self.part :]
        return self.c(torch.cat([self.b(first), rest], -1)) + last.sum(-1, keepdim=True)


class Padded(nn.Module):
    """Channels are filled up to the width of the next stage, by a difference of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 10, 3, 2, 1)
        self.narrow, self.wide, self.out = 6, 10, nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(x))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.wide - self.narrow))
        return self.out((shortcut + self.b(x)).mean((2, 3)))


class Copied(nn.Module):
    """Each channel several times, side by side; the number is an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.times, self.a, self.b = 3, nn.Linear(5, 4), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)).repeat_interleave(self.times, -1))


class Concatenated(nn.Module):
    """Different branches in one norm; then split again by their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [5, 7]
        self.a, self.b, self.norm = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 7, 1), nn.BatchNorm2d(12)
        self.c, self.d = nn.Linear(5, 2), nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.cat([self.a(x), self.b(x)], 1))
        a, b = x.split(self.sizes, 1)
        return self.c(a.mean((2, 3))) + self.d(torch.relu(b).mean((2, 3)))


class TwoOutputs(nn.Module):
    """A dictionary of results, one of them complex."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor, scale: float = 1.0) -> dict[str, Any]:
        x = torch.tanh(self.a(x)) * scale
        return {"sum": self.b(x), "more": [torch.complex(self.b(x), self.c(x)), None, 3]}


VECTORS = torch.randn(2, 5, generator=torch.Generator().manual_seed(7))
SEQUENCE = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(8))

# what is built, on what, and the groups that are cut in half
HAZARDS: dict[str, tuple[Callable[[], nn.Module], Any, list[str]]] = {
    "glu": (gated, VECTORS, ["0", "2"]),
    "swiglu": (SwiGLU, VECTORS, ["both"]),
    "pixel shuffle": (PixelShuffle, nets.images(4), ["a#2", "b"]),
    "patch merging": (PatchMerging, nets.images(4), ["stem", "merge"]),
    "window attention": (Window, nets.images(4), ["stem", "qkv"]),
    "t5 bias": (T5Bias, nets.tokens(), ["embed#2", "distances#2"]),
    "interleaved rotary": (Interleaved, nets.tokens(), ["embed#2", "q"]),
    "alternating": (Alternating, VECTORS, ["a", "a#2"]),
    "soft experts": (Experts, VECTORS, ["down", "up#2"]),
    "routed experts": (Routed, VECTORS, ["embed", "experts.0.0", "experts.1.0", "experts.2.0"]),
    "reused": (Reused, VECTORS, ["stem", "block.0"]),
    "part": (Halved, VECTORS, ["a", "a#2", "a#3", "b"]),
    "padded": (Padded, nets.images(4), ["a", "b"]),
    "copied": (Copied, VECTORS, ["a", "b#2"]),
    "concatenated": (Concatenated, nets.images(4), ["a", "b"]),
    "two outputs": (TwoOutputs, VECTORS, ["a"]),
}
WEIGHT_NORMS = {"weight norm": weight_norm, "old weight norm": torch.nn.utils.weight_norm}
