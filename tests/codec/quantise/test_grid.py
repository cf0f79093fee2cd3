from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from secateur import Share, Sharer
from secateur.codec.quantise import entropy_bytes, on_grid, rounded
from secateur.core.errors import DataError, ModelError, RecipeError


def inputs(n: int, seed: int, examples: int = 200) -> torch.Tensor:
    """Correlated ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(examples, n, generator=generator, dtype=torch.double) @ torch.randn(
        n, n, generator=generator, dtype=torch.double
    )


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5)
    )  # fmt: skip


def batches(seed: int = 1, count: int = 4):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(16, 2, 8, 8, generator=generator), torch.randint(5, (16,), generator=generator)) for _ in range(count)]


@given(rows=st.integers(1, 5), n=st.integers(1, 70), seed=st.integers(0, 10**6), step=st.floats(0.05, 2.0))
def test_independent_inputs_are_rounded_each_to_its_nearest(rows, n, seed, step):
    w = torch.randn(rows, n, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    moment = torch.diag(torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.double) + 0.5)[None]
    assert torch.equal(rounded(w, moment, step, damping=0), (w / step).round() * step)


@given(rows=st.integers(1, 4), n=st.integers(1, 80), groups=st.sampled_from([1, 2]), seed=st.integers(0, 10**6))
def test_values_are_multiples_within_bounds_and_zeros_stay(rows, n, groups, seed):
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(rows * groups, n, generator=generator)
    w[torch.rand(w.shape, generator=generator) < 0.4] = 0
    x = torch.stack([inputs(n, seed + g) for g in range(groups)])
    found = rounded(w, x.transpose(1, 2) @ x, 0.25, most=3)
    assert found.dtype == w.dtype
    assert (found[w == 0] == 0).all()
    assert torch.equal((found / 0.25).round() * 0.25, found)
    assert found.abs().max() <= 0.75


@given(n=st.integers(2, 6), seed=st.integers(0, 10**6))
def test_each_turn_is_least_squares_over_what_is_left(n, seed):
    """Against the definition: round the column of most power, refit the later ones by solving, and so on."""
    x = inputs(n, seed)
    moment = x.T @ x
    w = torch.randn(1, n, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    order = moment.diagonal().argsort(descending=True, stable=True)
    left, expected = w[0, order].clone(), torch.zeros(n, dtype=torch.double)
    m = moment[order][:, order]
    for j in range(n):
        expected[j] = (left[j] / 0.5).round() * 0.5
        rest = slice(j + 1, n)
        if j + 1 < n:
            left[rest] += torch.linalg.solve(m[rest, rest], m[rest, j]) * (left[j] - expected[j])
    found = rounded(w, moment[None], 0.5, damping=0)[0, order]
    assert torch.allclose(found, expected)


def test_outputs_come_nearer_than_by_plain_rounding():
    w = torch.randn(16, 40, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    x = inputs(40, 1)
    made_up, plain = rounded(w, (x.T @ x)[None], 0.5, damping=1e-3), (w / 0.5).round() * 0.5
    assert ((w - made_up) @ x.T).norm() < 0.75 * ((w - plain) @ x.T).norm()


@pytest.mark.parametrize("rate", [0.5, 2.0, 3.0])
def test_the_rate_is_met_and_steps_differ_by_layer(rate):
    model = net()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    most = {n: 128 for n, p in model.named_parameters() if p.ndim > 1}
    found = on_grid(model, most, batches(), rate=rate)
    assert set(found) == {"0.weight", "3.weight", "6.weight"}
    bits = 8 * sum(map(entropy_bytes, found.values())) / sum(t.numel() for t in found.values())
    assert rate - 0.15 <= bits <= rate
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    steps = {n: float(t[t != 0].abs().min()) for n, t in found.items()}
    assert len({round(s, 6) for s in steps.values()}) == 3


class Conv1D(nn.Module):
    """The linear layer of GPT-2, inputs first."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight)


def test_inputs_first_is_the_same_turned_round():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 4))
    turned = nn.Sequential(Conv1D(plain[0].weight.detach().T.contiguous(), plain[0].bias.detach()))
    data = [(torch.randn(32, 6), torch.randint(4, (32,)))]
    one, other = (on_grid(m, {"0.weight": 128}, data, rate=8.0)["0.weight"] for m in (plain, turned))
    assert torch.allclose(one, other.T, atol=1e-6)
    assert one.any()


def test_more_bits_than_the_values_take_clip_nothing():
    """No step is so fine that the greatest multiple falls short of a weight."""
    model = net()
    found = on_grid(model, {"0.weight": 2, "6.weight": 2}, batches(), rate=16.0)
    for n, value in found.items():
        w = model.get_parameter(n).detach()
        numbers = value.double() / (float(w.abs().max()) / 2)
        assert torch.allclose(numbers, numbers.round(), atol=1e-5), "the step is half of the greatest weight"
        assert numbers.abs().max() >= 1
        assert len(value.unique()) <= 5


def test_a_sharer_puts_weights_on_a_grid_and_keeps_them_shared():
    model, share = net(), Share(conv=8, linear=8, values="grid", rate=2.5)
    model[0].weight.data[0] = 0
    sharer = Sharer(model, share, data=batches())
    again = net()
    again[0].weight.data[0] = 0
    Sharer(again, share, data=batches())
    for (name, p), q in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), name
    assert (model[0].weight[0] == 0).all()
    assert all(len(v) <= 256 for v in sharer.codebooks.values())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    places = {n: [model.get_parameter(n) == v for v in values] for n, values in sharer.codebooks.items()}
    x, y = batches()[0]
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    sharer.step()
    for n, members in places.items():
        assert all(len(model.get_parameter(n)[m].unique()) == 1 for m in members)


def test_refusals():
    with pytest.raises(RecipeError, match="go together"):
        Share(values="grid")
    with pytest.raises(RecipeError, match="go together"):
        Share(rate=2.0)
    grid = Share(values="grid", rate=2.0)
    with pytest.raises(DataError, match="data=batches"):
        Sharer(net(), grid)
    with pytest.raises(ModelError, match="training data"):
        grid.quantise("weight", torch.ones(3, 3))
    broken = net()
    broken[0].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError, match="holds NaN or infinity"):
        Sharer(broken, grid, data=batches())
    with pytest.raises(ModelError, match="multiplied"):
        on_grid(net(), {"1.weight": 8}, batches(), rate=2.0)
