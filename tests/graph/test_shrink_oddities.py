"""Models that are unusual in other ways than their couplings."""

from __future__ import annotations

import dataclasses as dc
import functools
from typing import Any

import nets
import numpy as np
import pytest
import torch
from shrinks import assert_same, distance, half, run, shrink_and_check, snapshot
from torch import Tensor, nn

from secateur.core.errors import ModelError
from secateur.graph.groups import find_groups
from secateur.graph.shrink import shrink_

X = torch.randn(3, 5, generator=torch.Generator().manual_seed(4))


class Two(nn.Module):
    """Two layers; what stands between them differs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 3)

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x)))


class Aliased(Two):
    """One layer under three names."""

    def __init__(self) -> None:
        super().__init__()
        self.mid = nn.Linear(8, 8)
        self.same, self.listed = self.mid, nn.ModuleList([self.mid])

    def between(self, x: Tensor) -> Tensor:
        return self.listed[0](torch.tanh(self.same(torch.tanh(self.mid(x)))))


class Plain(Two):
    """A tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.linspace(0.5, 1.5, 8)

    def between(self, x: Tensor) -> Tensor:
        return x * self.scale.to(x.dtype)


@functools.lru_cache
def halves(n: int) -> tuple[int, int]:
    return n // 2, n - n // 2


class Cached(Two):
    """A size from a function that remembers its results."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8

    def between(self, x: Tensor) -> Tensor:
        a, b = halves(self.width)
        return torch.cat([torch.tanh(x[:, :a]), x[:, a : a + b]], 1)


class Picky(Two):
    """Insists that a size is an integer and nothing derived from it: its Python is not followed."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 4

    def between(self, x: Tensor) -> Tensor:
        if type(self.heads) is not int:
            raise TypeError("heads must be an integer")
        return torch.tanh(x.view(x.shape[0], self.heads, 2)).flatten(1)


@dc.dataclass(frozen=True)
class Frozen:
    heads: int = 4
    same: Any = np.int64(4)


class Configured(Two):
    """A frozen configuration, and an integer of NumPy's."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Frozen()

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x.view(x.shape[0], self.config.heads, -1)).flatten(1)


class OfNumpy(Configured):
    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x.view(x.shape[0], self.config.same, -1)).flatten(1)


class Raw(Two):
    """Weights in a list and in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.list = nn.ParameterList([torch.randn(8, 6)])
        self.dict = nn.ParameterDict({"back": torch.randn(6, 8)})

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ self.list[0]) @ self.dict["back"]


class Noisy(Two):
    """Random numbers in evaluation, as many as there are channels."""

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x + torch.randn_like(x))


class Swallowing(Two):
    """Catches what goes wrong."""

    def between(self, x: Tensor) -> Tensor:
        try:
            return torch.tanh(x.view(-1, 2, 4)).flatten(1)
        except Exception:
            return x * 2


class InPlace(Two):
    """Writes into its own buffer, and over its activations."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(8))

    def between(self, x: Tensor) -> Tensor:
        y = x.clone()
        y[:, :] = torch.relu(x) * 2
        self.memory += 1
        return y.add_(1).sub_(1)


class Cast(Two):
    """Computes a part in half precision."""

    def between(self, x: Tensor) -> Tensor:
        return torch.tanh(x.float()).to(x.dtype)


FOLLOWED = [Aliased, Cached, Configured, Raw, InPlace, Cast]


@pytest.mark.parametrize("kind", FOLLOWED)
def test_followed(kind: type[nn.Module]) -> None:
    model = nets.built(kind, X)
    shrunk = shrink_and_check(model, X, least=1)
    assert "a" in {n.split("#")[0] for n in shrunk.cut}, shrunk
    assert not shrunk.kept


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Picky, "view does not fit: shape '[3, 4, 2]' is invalid for input of size 12 (test_shrink_oddities.py:"),
        (OfNumpy, "view would give [3, 4, 1] instead of [3, 2, 2] (test_shrink_oddities.py:"),
        (Noisy, "the smaller model would differ from the masked one by"),
        (Swallowing, "forward fixes its size to 2"),
        (Plain, "a constant that forward makes"),
    ],
)
def test_left_with_a_reason(kind: type[nn.Module], reason: str) -> None:
    model = nets.built(kind, X)
    groups = find_groups(model, X)
    before = snapshot(model)
    shrunk = shrink_(model, X, half(groups))
    why = [g.reason for g in groups.of("a.weight", 0)] + list(shrunk.kept.values())
    assert any(reason in r for r in why), why
    assert shrunk.cut == {}
    assert_same(before, snapshot(model))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_checked_in_double_and_stays_half(dtype: torch.dtype) -> None:
    model, x = nets.built(nets.GQA, nets.tokens()).to(dtype), nets.tokens()
    shrunk = shrink_(model, x, half(find_groups(model, x)), narrow_norms=True)
    assert shrunk.error < 1e-10
    assert len(shrunk.cut) == 3
    assert {p.dtype for p in model.parameters()} == {dtype}


def test_constants_are_rounded_once() -> None:
    model = nets.built(lambda: nn.Sequential(nn.Linear(5, 8), nn.Sigmoid(), nn.Linear(8, 3)), X).bfloat16()
    with torch.no_grad():
        model[0].weight[:2] = 0
    column = model[2].weight.double()[:, :2] @ torch.sigmoid(model[0].bias.double()[:2])
    wanted = (model[2].bias.double() + column).bfloat16()
    assert shrink_(model, X.bfloat16()).cut == {"0": 2}
    assert torch.equal(model[2].bias, wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_model_is_its_module() -> None:
    model = nets.built(Two, X)
    assert shrink_(torch.compile(model), X, {"a": [0]}).cut == {"a": 1}
    assert model.a.out_features == 7


def test_a_model_in_a_model() -> None:
    """Only a part is shrunken: the rest need not exist."""
    whole = nets.built(lambda: nn.Sequential(Two(), nn.ReLU(), nn.Linear(3, 2)), X)
    assert shrink_(whole[0], X, {"a": [0, 1]}).cut == {"a": 2}
    assert whole(X).shape == (3, 2)


def test_models_that_cannot_be_traced_are_refused_in_one_sentence() -> None:
    with pytest.raises(ModelError, match="lazy") as error:
        shrink_(nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)), X, {"0": [0]})
    assert "\n" not in str(error.value)


def test_hooks_run_and_stay() -> None:
    model, seen = nets.built(Two, X), []
    model.a.register_forward_hook(lambda m, args, out: seen.append(out.shape[-1]) or out * 2)
    dense = distance(run(model.double(), X), run(model, X))
    assert dense == 0
    assert shrink_(model, X.double(), {"a": [0, 1, 2]}).cut == {"a": 3}
    seen.clear()
    model(X.double())
    assert seen == [5]
