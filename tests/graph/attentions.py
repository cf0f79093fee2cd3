"""One attention, its sizes written in many ways. No test in here."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

WIDTH, HEADS, SIZE = 16, 4, 6  # the width of a head is not WIDTH / HEADS


class Attention(nn.Module):
    """Queries, keys and values of a width of their own; the scale is a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Linear(5, WIDTH), nn.Linear(WIDTH, 3)
        self.q, self.k, self.v = (nn.Linear(WIDTH, HEADS * SIZE) for _ in range(3))
        self.o = nn.Linear(HEADS * SIZE, WIDTH)

    def split(self, x: Tensor) -> Tensor:
        raise AssertionError

    def merge(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)

    def scale(self) -> float:
        return 0.4

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        y = (q @ k.transpose(-1, -2) * self.scale()).softmax(-1) @ v
        return self.out(x + self.o(self.merge(y)))


class Literal(Attention):
    def split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], 4, 6).transpose(1, 2)


class Attribute(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.heads, self.size = HEADS, SIZE

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self.size).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).reshape(x.shape[0], -1, self.heads * self.size)


class Inferred(Attribute):
    """-1 for the number of heads."""

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.size)).transpose(1, 2)

    merge = Attention.merge


class ClassAttribute(Attention):
    heads: ClassVar[int] = HEADS

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


_HEADS = HEADS


class Global(Attention):
    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (_HEADS, -1)).transpose(1, 2)


def splitter(heads: int) -> Any:
    return lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Closure(Attention):
    def __init__(self) -> None:
        super().__init__()
        heads = HEADS
        self.split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)  # type: ignore[method-assign]

    def __reduce__(self) -> Any:
        return _remade, (type(self), self.state_dict())


def _remade(cls: type[nn.Module], state: dict[str, Tensor]) -> nn.Module:
    model = cls()
    for name, value in state.items():
        model.get_parameter(name).data = value
    return model.eval()


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Partial(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.split = functools.partial(_split, heads=HEADS)  # type: ignore[method-assign]


class Divided(Attention):
    """The size of a head from the inner width."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.heads = HEADS * SIZE, HEADS

    def split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), self.heads, self.dim // self.heads).transpose(1, 2)


class Nested(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.options = {"attention": {"heads": HEADS, "sizes": [SIZE, WIDTH]}}

    def split(self, x: Tensor) -> Tensor:
        options = self.options["attention"]
        return x.view(*x.shape[:2], options["heads"], options["sizes"][0]).transpose(1, 2)


class InTuple(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.shape = (HEADS, SIZE)

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], *self.shape).transpose(1, 2)


class Product(Attribute):
    def split(self, x: Tensor) -> Tensor:
        return x[..., : self.heads * self.size].unflatten(-1, (self.heads, self.size)).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).reshape(-1, x.shape[2], math.prod((self.heads, self.size)))


class Loop(Attribute):
    """Head by head."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.q(x), self.k(x), self.v(x)
        done = []
        for h in range(self.heads):
            part = slice(h * self.size, (h + 1) * self.size)
            scores = q[..., part] @ k[..., part].transpose(-1, -2) * 0.4
            done.append(scores.softmax(-1) @ v[..., part])
        return self.out(x + self.o(torch.cat(done, -1)))


class Asserting(Attribute):
    def split(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.heads * self.size
        y = super().split(x)
        assert y.size() == (x.shape[0], self.heads, x.shape[1], self.size)
        return y


class Root(Attribute):
    """The scale is computed from the size of a head: whole heads may go."""

    def scale(self) -> float:
        return 1 / math.sqrt(self.size)


class Power(Attribute):
    def scale(self) -> float:
        return self.size**-0.5


class FloatFirst(Attribute):
    """A float on the left hides from where the integer on its right comes."""

    def scale(self) -> float:
        return 1.0 / self.size


class RootOfShape(Attribute):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        y = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.out(x + self.o(self.merge(y)))


class Fused(Attribute):
    """The scale is PyTorch's own: the root of the size of a head."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        return self.out(x + self.o(self.merge(nn.functional.scaled_dot_product_attention(q, k, v))))


class MeanOfHeads(Attribute):
    """A number of heads that is computed with."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        y = (q @ k.transpose(-1, -2) * 0.4).softmax(-1) @ v
        return self.out(x + self.o(self.merge(y)) / self.heads)


class Stored(Attribute):
    def __init__(self) -> None:
        super().__init__()
        self.scaling = SIZE**-0.5

    def scale(self) -> float:
        return self.scaling


class Config:
    """What several modules share."""

    def __init__(self) -> None:
        self.heads, self.inner = HEADS, HEADS * SIZE


class Shared(Attention):
    """Each of two modules holds the configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Config()
        self.q.config = self.config

    def split(self, x: Tensor) -> Tensor:
        config = self.q.config
        return x.view(*x.shape[:2], config.heads, config.inner // config.heads).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        b, _, n, _ = x.shape
        return x.transpose(1, 2).reshape(b, n, self.config.heads, -1).reshape(b, n, self.config.inner)


class Space(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.args = SimpleNamespace(heads=HEADS)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.args.heads, -1)).transpose(1, 2)


class Property(Attention):
    def __init__(self) -> None:
        super().__init__()
        self._inner, self._size = HEADS * SIZE, SIZE

    @property
    def heads(self) -> int:
        return self._inner // self._size

    def split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self._size).transpose(1, 2)


class OtherTensor(Attribute):
    """The size of one tensor is taken for that of another."""

    def __init__(self) -> None:
        super().__init__()
        self.size = WIDTH // HEADS
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        b, n, c = x.shape
        q, k, v = (f(x).reshape(b, n, self.heads, c // self.heads).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = (q @ k.transpose(-1, -2) * 0.4).softmax(-1) @ v
        return self.out(x + self.o(y.transpose(1, 2).reshape(b, n, c)))


class Einsum(Attribute):
    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.size))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        y = torch.einsum("bhnm,bmhd->bnhd", (torch.einsum("bnhd,bmhd->bhnm", q, k) * 0.4).softmax(-1), v)
        return self.out(x + self.o(y.flatten(2)))


class Einops(Attribute):
    def split(self, x: Tensor) -> Tensor:
        from einops import rearrange

        return rearrange(x, "b n (h d) -> b h n d", h=self.heads)

    def merge(self, x: Tensor) -> Tensor:
        from einops import rearrange

        return rearrange(x, "b h n d -> b n (h d)")


class Cast(Attribute):
    """An integer that loses where it comes from."""

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (int(self.heads), -1)).transpose(1, 2)


class Tensorial(Attention):
    """A size in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = [HEADS, "heads"]

    def split(self, x: Tensor) -> Tensor:
        return x.chunk(1, -1)[0].unflatten(-1, (self.heads[0], -1)).transpose(1, 2)
