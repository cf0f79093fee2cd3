"""Small networks in which dimensions are coupled in every common way. No test in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    def __init__(self, inner: int, mid: int, out: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, mid, 1, bias=False), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = nn.Conv2d(mid, mid, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = nn.Conv2d(mid, out, 1, bias=False), nn.BatchNorm2d(out)
        self.down = nn.Sequential(nn.Conv2d(inner, out, 1, stride, bias=False), nn.BatchNorm2d(out)) if inner != out else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.down is None else self.down(x)))


class ResNet(nn.Module):
    """ResNet-50 with the default arguments."""

    def __init__(self, blocks: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, classes: int = 1000, groups: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        inner, self.layers = width, nn.ModuleList()
        for k, n in enumerate(blocks):
            mid = width * 2**k
            for b in range(n):
                self.layers.append(Bottleneck(inner, mid, 4 * mid, 2 if k and not b else 1, groups))
                inner = 4 * mid
        self.fc = nn.Linear(inner, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for layer in self.layers:
            x = layer(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Dense(nn.Module):
    """Every convolution reads all that came before."""

    def __init__(self, growth: int = 6, layers: int = 3) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(4 + k * growth, growth, 3, padding=1) for k in range(layers))
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + k * growth) for k in range(layers))
        self.stem, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 + layers * growth, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        return self.fc(x.mean((2, 3)))


class Shuffle(nn.Module):
    """ShuffleNet: half of the channels pass, half are worked on, then they are shuffled."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        h = width // 2
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.branch = nn.Sequential(nn.Conv2d(h, h, 1), nn.ReLU(), nn.Conv2d(h, h, 3, padding=1, groups=h), nn.Conv2d(h, h, 1))
        self.last, self.fc = nn.Conv2d(width, 8, 1, groups=2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.stem(x).chunk(2, 1)
        x = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.fc(F.relu(self.last(x)).mean((2, 3)))


class Inception(nn.Module):
    """One convolution split among branches, whose results are put together."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 1)
        self.a, self.b = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.out = nn.Linear(13, 4)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = F.relu(self.stem(x)).split([4, 6, 2], 1)
        y = torch.cat([self.a(a), self.b(b), F.max_pool2d(c, 3, 1, 1)], 1)
        return self.out(F.relu(y).mean((2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.down, self.up, self.out = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 6, 1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.fc(F.relu(self.out(x)).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.enc1, self.enc2 = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up, self.dec, self.head = nn.ConvTranspose2d(8, 5, 2, 2), nn.Conv2d(11, 7, 3, padding=1), nn.Conv2d(7, 2, 1)
        self.norm = nn.GroupNorm(1, 6)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.norm(self.enc1(x)))
        b = F.relu(self.enc2(F.max_pool2d(a, 2)))
        return self.head(F.relu(self.dec(torch.cat([F.interpolate(self.up(b), size=a.shape[-2:]), a], 1))))


class ConvNeXt(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem, self.depth = nn.Conv2d(3, width, 2, 2), nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale, self.fc = nn.Parameter(torch.ones(width)), nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.down(F.gelu(self.up(self.norm(self.depth(x).permute(0, 2, 3, 1))))) * self.scale
        return self.fc((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


class ViT(nn.Module):
    """Fused queries, keys and values; a class token and positions of its own."""

    def __init__(self, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.patch, self.token = nn.Conv2d(3, width, 4, 4), nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, 5, width))
        self.norm, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down, self.head = (
            nn.LayerNorm(width),
            nn.Linear(width, 24),
            nn.Linear(24, width),
            nn.Linear(width, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1) * 0.5).softmax(-1)
        x = x + self.proj((scores @ v).transpose(1, 2).reshape(b, n, c))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(x[:, 0])


class GQA(nn.Module):
    """Grouped queries, rotary halves, a gated MLP, RMS norms."""

    def __init__(self, width: int = 16, heads: int = 4, kv: int = 2, head: int = 6) -> None:
        super().__init__()
        self.heads, self.kv, self.head_dim = heads, kv, head
        self.embed, self.norm1, self.norm2 = nn.Embedding(20, width), nn.RMSNorm(width), nn.RMSNorm(width)
        self.q, self.k = nn.Linear(width, heads * head, bias=False), nn.Linear(width, kv * head, bias=False)
        self.v, self.o = nn.Linear(width, kv * head, bias=False), nn.Linear(heads * head, width, bias=False)
        self.gate, self.up, self.down = nn.Linear(width, 20), nn.Linear(width, 20), nn.Linear(20, width)
        self.register_buffer("frequency", 1.0 / 100 ** (torch.arange(head // 2) / (head // 2)))
        self.out = nn.Linear(width, 20)

    def rotate(self, x: Tensor) -> Tensor:
        angle = torch.arange(x.shape[-2])[:, None] * self.frequency[None]
        angle = torch.cat([angle, angle], -1)
        a, b = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-b, a], -1) * angle.sin()

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        y, (b, n) = self.norm1(x), tokens.shape
        q = self.rotate(self.q(y).view(b, n, self.heads, self.head_dim).transpose(1, 2))
        k = self.rotate(self.k(y).view(b, n, self.kv, self.head_dim).transpose(1, 2))
        v = self.v(y).view(b, n, self.kv, self.head_dim).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.4, enable_gqa=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, n, -1))
        y = self.norm2(x)
        return self.out(x + self.down(F.silu(self.gate(y)) * self.up(y)))


class Attention(nn.Module):
    """PyTorch's own attention, packed weights and all."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention, self.out = nn.Linear(5, 12), nn.MultiheadAttention(12, 3, batch_first=True), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.out(self.attention(x, x, x, need_weights=False)[0])


class Res2(nn.Module):
    """Parts of a convolution feed one another, as in Res2Net."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.last = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 5, 1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = F.relu(self.stem(x)).chunk(3, 1)
        done, before = [first], first
        for conv, part in zip(self.convs, rest, strict=True):
            before = F.relu(conv(part + before))
            done.append(before)
        return self.last(torch.cat(done, 1)).mean((2, 3))


class Odd(nn.Module):
    """Raw weights: a plain one, an einsum, a gated half, a pixel shuffle, interleaved copies."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.e = nn.Parameter(torch.randn(6, 10)), nn.Parameter(torch.randn(5, 7))
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.fold, self.out = nn.Conv2d(6, 8, 1), nn.Linear(2, 6)
        self.last = nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.glu(self.conv(x), 1)
        x = F.pixel_shuffle(self.fold(x), 2).mean((2, 3))
        x = F.glu(F.relu(self.out(x)) @ self.w, -1)
        x = torch.einsum("bi,ij->bj", x, self.e)
        return self.last(torch.stack([x, x * 2], -1).flatten(1))


class Tied(nn.Module):
    """One matrix embeds and classifies; a layer is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block, self.head = nn.Embedding(15, 10), nn.Linear(10, 10), nn.Linear(10, 15, bias=False)
        self.up, self.down = nn.Linear(10, 14), nn.Linear(14, 10)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for _ in range(2):
            x = x + self.down(F.relu(self.up(torch.tanh(self.block(x)))))
        return self.head(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(7, 12), nn.ReLU(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 3))


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, groups=4),
        nn.BatchNorm2d(12),
        nn.Conv2d(12, 24, 1, groups=12),
        nn.GroupNorm(12, 24),
        nn.PReLU(24),
        nn.ConvTranspose2d(24, 12, 2, groups=4),
        nn.Conv2d(12, 4, 1),
        nn.Flatten(),
        nn.LazyLinear(3),
    )


def images(size: int, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(5))


def tokens(most: int = 15, length: int = 6) -> Tensor:
    return torch.randint(0, most, (2, length), generator=torch.Generator().manual_seed(5))


def randomise(model: nn.Module) -> nn.Module:
    """Weights, scales and statistics that are all different from one another and from nothing."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(generator=random).mul_(1.5 / p[0].numel() ** 0.5)
            else:
                p.add_(torch.randn(p.shape, generator=random) * 0.2)
        for name, b in model.named_buffers():
            if name.endswith("running_var"):
                b.uniform_(0.5, 1.5, generator=random)
            elif name.endswith("running_mean"):
                b.normal_(0, 0.2, generator=random)
    return model.eval()


def built(make: Callable[[], nn.Module], x: Any) -> nn.Module:
    """A model with its lazy layers filled in."""
    torch.manual_seed(0)
    model = make().eval()
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
        with torch.no_grad():
            model(x)
    return randomise(model)
